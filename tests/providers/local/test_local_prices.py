"""A local hour's cost, by hand."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import pytest

from policies.facts import Price
from providers.local.prices import price_of

DAY = date(2026, 3, 1)


@dataclass(frozen=True)
class Wishes:
    hourly_usd: Decimal | None = None
    electricity_usd_per_kwh: Decimal | None = None
    card_usd: Decimal | None = None
    card_years: Decimal | None = None


ELECTRICITY = Decimal("0.30")
CARD = {"card_usd": Decimal(8760), "card_years": Decimal(2)}
"""Half a dollar an hour."""


def priced(wishes: Wishes, *, boards: int = 1, power_w: float | None = 400.0) -> Price:
    return price_of(wishes, boards=boards, power_w=power_w, on=DAY)


@pytest.mark.parametrize(
    ("wishes", "boards", "usd", "basis", "saves"),
    [
        (Wishes(electricity_usd_per_kwh=ELECTRICITY), 1, "0.12", "electricity", "0.12"),
        (Wishes(**CARD), 2, "1.00", "amortised", "0"),
        (
            Wishes(electricity_usd_per_kwh=ELECTRICITY, **CARD),
            1,
            "0.62",
            "amortised + electricity",
            "0.12",
        ),
    ],
)
def test_electricity_is_what_is_drawn_and_the_card_is_spread_over_its_years(
    wishes: Wishes, boards: int, usd: str, basis: str, saves: str
) -> None:
    price = priced(wishes, boards=boards)
    assert (price.hourly_usd, price.basis) == (Decimal(usd), basis)
    assert price.saves_usd == Decimal(saves)
    assert (price.source, price.as_of) == ("settings", "2026-03-01")
    assert price.why


def test_a_flat_figure_stands_for_everything() -> None:
    price = priced(Wishes(hourly_usd=Decimal("0.8"), **CARD), power_w=None)
    assert (price.hourly_usd, price.saves_usd) == (Decimal("0.8"), None)


@pytest.mark.parametrize(
    ("wishes", "why"),
    [
        (Wishes(), "no local price is set"),
        (Wishes(electricity_usd_per_kwh=ELECTRICITY), "do not report their power draw"),
        (Wishes(electricity_usd_per_kwh=ELECTRICITY, **CARD), "do not report their power draw"),
    ],
)
def test_an_unknown_price_is_never_zero(wishes: Wishes, why: str) -> None:
    price = priced(wishes, power_w=None)
    assert price.hourly_usd is None
    assert why in (price.why or "")
