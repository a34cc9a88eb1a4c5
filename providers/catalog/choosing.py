"""Which of several quotes is carried: the newest. Disagreement and doubt are kept beside it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from providers.catalog.origins import LIBCLOUD_AWS, SOURCES
from providers.catalog.quotes import ON_DEMAND, Key, Quote

CONFLICT = Decimal("0.01")
"""Two sources disagree when their prices differ by more than this share of the chosen one."""
CHANGED = Decimal("0.11")
"""More than dedicated tenancy adds (a tenth): the price itself has changed."""
SAME_RATIO = Decimal("1.02")
"""Within a family, prices of a region over those of `BASE_REGION` agree to rounding."""
BASE_REGION = "us-east-1"
_AS_OF = {source.id: source.as_of or "" for source in SOURCES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """A price that another source contradicts."""

    chosen: Quote
    other: Quote

    @property
    def difference(self) -> Decimal:
        """How far the other price lies above the chosen one, as a share of the chosen one."""
        return Decimal(self.other.usd) / Decimal(self.chosen.usd) - 1


def choose(quotes: Iterable[Quote]) -> tuple[tuple[Quote, ...], tuple[Conflict, ...]]:
    """The newest quote of each key, and what contradicts it."""
    by_key: dict[Key, list[Quote]] = defaultdict(list)
    for quote in quotes:
        by_key[quote.key].append(quote)
    chosen = []
    conflicts = []
    for key in sorted(by_key):
        newest = max(by_key[key], key=lambda quote: (_AS_OF[quote.source], quote.source))
        chosen.append(newest)
        pairs = (Conflict(chosen=newest, other=other) for other in by_key[key])
        conflicts += [pair for pair in pairs if abs(pair.difference) > CONFLICT]
    return tuple(chosen), tuple(conflicts)


def doubts(chosen: Sequence[Quote], conflicts: Sequence[Conflict]) -> Mapping[Key, str]:
    """Chosen prices that are probably wrong, with the code of the reason.

    Libcloud keeps whichever row of AWS's price list it met last: shared or dedicated tenancy.
    Dedicated tenancy adds 6 to 10 %, so it shows where sizes of one family, which all scale
    alike from region to region, do not.
    """
    changed = {
        conflict.chosen.machine_type for conflict in conflicts if abs(conflict.difference) > CHANGED
    }
    dearer = _dearer_than_siblings(chosen)
    found = {}
    for quote in chosen:
        if quote.source != LIBCLOUD_AWS.id:
            continue
        if quote.machine_type in changed:
            found[quote.key] = "changed"
        elif quote.key in dearer:
            found[quote.key] = "dedicated"
    return found


def _dearer_than_siblings(chosen: Sequence[Quote]) -> set[Key]:
    base = {
        quote.machine_type: Decimal(quote.usd)
        for quote in chosen
        if (quote.provider, quote.region, quote.purchase) == ("aws", BASE_REGION, ON_DEMAND)
    }
    ratios: dict[tuple[str, str], dict[Key, Decimal]] = defaultdict(dict)
    for quote in chosen:
        if quote.provider == "aws" and quote.machine_type in base:
            family = (quote.region, quote.machine_type.split(".")[0])
            ratios[family][quote.key] = Decimal(quote.usd) / base[quote.machine_type]
    return {
        key
        for of_family in ratios.values()
        for key, ratio in of_family.items()
        if ratio > min(of_family.values()) * SAME_RATIO
    }
