"""What an hour of this workstation costs: by the settings, for nobody sends a bill for it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Protocol

from policies.facts import Price, unpriced

HOURS_A_YEAR = Decimal(8760)
MICRO = Decimal("0.000001")
SOURCE = "settings"


class LocalWishes(Protocol):
    """The settings that price a local hour. None: not set."""

    @property
    def hourly_usd(self) -> Decimal | None:
        """The whole hour, in place of the figures below."""

    @property
    def electricity_usd_per_kwh(self) -> Decimal | None: ...

    @property
    def card_usd(self) -> Decimal | None:
        """What one GPU cost."""

    @property
    def card_years(self) -> Decimal | None:
        """Over how many years that is spread."""


def price_of(wishes: LocalWishes, *, boards: int, power_w: float | None, on: date) -> Price:
    """`power_w`: what the GPUs draw now, None where they do not tell."""
    if wishes.hourly_usd is not None:
        return _known(wishes.hourly_usd, "flat", on, why=None, saves=None)
    card = _card_hour(wishes, boards)
    if wishes.electricity_usd_per_kwh is None:
        if card is None:
            return unpriced(
                "no local price is set: local.electricity_usd_per_kwh, local.card_usd with"
                " local.card_years, or local.hourly_usd"
            )
        return _known(card, "amortised", on, why="without electricity, which is not set", saves=0)
    if power_w is None:
        return unpriced("the GPUs do not report their power draw: set local.hourly_usd")
    current = wishes.electricity_usd_per_kwh * Decimal(str(power_w)) / 1000
    drawn = f"electricity of the {power_w:.0f} W that the GPUs draw now, without the rest"
    if card is None:
        return _known(current, "electricity", on, why=drawn, saves=current)
    return _known(card + current, "amortised + electricity", on, why=drawn, saves=current)


def _card_hour(wishes: LocalWishes, boards: int) -> Decimal | None:
    if wishes.card_usd is None or wishes.card_years is None:
        return None
    return wishes.card_usd * boards / (wishes.card_years * HOURS_A_YEAR)


def _known(
    usd: Decimal, basis: str, on: date, *, why: str | None, saves: Decimal | int | None
) -> Price:
    return Price(
        hourly_usd=usd.quantize(MICRO),
        basis=basis,
        source=SOURCE,
        as_of=on.isoformat(),
        why=why,
        saves_usd=None if saves is None else Decimal(saves).quantize(MICRO),
    )
