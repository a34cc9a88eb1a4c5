"""What a spot market cost from when until when, by what was remembered and what was told anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise

from policies.facts import Price, unpriced
from providers.price_facts import SpotPrice
from watchdog.costs.prices_over_time import BEGINNING, PriceStep

SOURCE = "spot price history"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPrice:
    """A spot price that is known to have held from its start until a moment."""

    price: SpotPrice
    told_until: datetime

    @property
    def started_at(self) -> datetime:
        return self.price.started_at


def with_told(
    kept: Sequence[KnownPrice], told: Sequence[SpotPrice], *, since: datetime, until: datetime
) -> tuple[KnownPrice, ...]:
    """What is known of one market once its history from `since` to `until` was told whole.

    A price that was in force when the history begins holds until the first change that it tells.
    """
    news = {each.started_at: each for each in told if each.started_at <= until}
    before = {
        each.started_at: each
        for each in kept
        if each.started_at not in news and each.started_at <= until
    }
    starts = sorted({*news, *before})
    found = []
    for start, after in _with_ends(starts, until):
        was = before.get(start)
        if was is None:
            found.append(KnownPrice(price=news[start], told_until=after))
        elif start <= since <= was.told_until or start > since:
            found.append(replace(was, told_until=after))
        else:
            found.append(replace(was, told_until=min(was.told_until, after)))
    return tuple(found)


def known_from(known: Sequence[KnownPrice]) -> datetime | None:
    """Since when the market is known without a hole until its newest price; None: it is not."""
    begin: datetime | None = None
    for each in reversed(known):
        if begin is not None and each.told_until < begin:
            break
        begin = each.started_at
    return begin


def steps_of(known: Sequence[KnownPrice], *, until: datetime) -> tuple[PriceStep, ...]:
    """The market's prices over time; where nobody told one, none."""
    found = [PriceStep(started_at=BEGINNING, price=unpriced("no spot price is told of that time"))]
    ends = _with_ends([each.started_at for each in known], until)
    for each, (_, after) in zip(known, ends, strict=True):
        found.append(PriceStep(started_at=each.started_at, price=price_from(each.price)))
        if each.told_until < after:
            why = f"no spot price is told from {each.told_until:%Y-%m-%d %H:%M} on"
            found.append(PriceStep(started_at=each.told_until, price=unpriced(why)))
    return tuple(found)


def _with_ends(starts: Sequence[datetime], until: datetime) -> list[tuple[datetime, datetime]]:
    """Each moment with the next one."""
    return list(pairwise((*starts, until)))


def price_from(told: SpotPrice) -> Price:
    """No commitment covers spot: a stop saves what it costs."""
    return Price(
        hourly_usd=told.hourly_usd,
        basis="spot",
        source=f"{told.market.provider} {SOURCE}",
        as_of=f"{told.started_at:%Y-%m-%d}",
        why=f"{told.market.zone}, {told.market.product}; without disks, addresses and traffic",
        saves_usd=told.hourly_usd,
    )
