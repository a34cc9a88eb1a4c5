"""Cells of the ledger's breakdown become lines: one key's dollars, bucket by bucket."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

PHASES = ("setup", "transfer", "active", "parked", "idle", "hung", "unknown")
BUCKETS = (*PHASES, "storage", "egress", "other")
NOTHING_DONE = ("setup", "transfer", "parked", "idle", "hung")
"""Phases that produce nothing. Of `active` that holds inside failed runs only."""
OWNED = frozenset({"workload", "owner", "group"})
UNATTRIBUTED = "unattributed"
UNKNOWN = "unknown"
ZERO = Decimal("0.000000000")

Amounts = Mapping[str, Decimal | None]
Cell = Mapping[str, object]
"""A row of the view `breakdown`: what one key spent on one bucket."""
Pair = tuple[str | None, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Dollars of one key. None: there were charges, and none of them is priced."""

    key: str
    label: str
    """The key as people would say it."""
    name: str | None = None
    """What its owner calls a machine; None for other keys, and where it has no name."""
    verdict: str | None
    spent: Amounts
    """By bucket, those that had charges."""
    failed_runs: Decimal | None
    """Machine time inside runs that failed: a view over the buckets, like the next."""
    not_productive: Decimal | None
    unpriced_hours: float
    """Machine hours without a price."""
    complete: bool
    """False: some charges have no price, and are in none of the dollars."""

    @property
    def total(self) -> Decimal | None:
        return _sum(self.spent.values())

    def amounts(self) -> dict[str, Decimal | None]:
        """The figures in the order of the contract."""
        spent = {bucket: self.spent.get(bucket, ZERO) for bucket in BUCKETS}
        return {
            **{name: spent[name] for name in PHASES},
            "failed_runs": self.failed_runs,
            **{name: spent[name] for name in BUCKETS if name not in PHASES},
            "total": self.total,
            "not_productive": self.not_productive,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpriced:
    """A resource of which some charges have no price."""

    id: str
    name: str | None
    hours: float | None
    """Unpriced machine hours; None where its use is not counted in hours."""


def lines_of(cells: Sequence[Cell], by: str, verdicts: Mapping[str, str]) -> tuple[Line, ...]:
    """One line a key, dearest first; days and phases in their own order."""
    names = _names(cells, by)
    grouped: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        grouped[names[_pair(cell)]].append(cell)
    lines = [
        _line(
            several,
            key=key,
            label=_label(several, key, by),
            name=_machine_name(several) if by == "machine" else None,
            verdict=_verdict(several[0], verdicts),
        )
        for key, several in grouped.items()
    ]
    if by == "day":
        return tuple(sorted(lines, key=lambda line: line.key))
    if by == "phase":
        return tuple(sorted(lines, key=lambda line: BUCKETS.index(_bucket(line.key))))
    return tuple(sorted(lines, key=lambda line: (-(line.total or ZERO), line.key)))


def _names(cells: Sequence[Cell], by: str) -> dict[Pair, str]:
    """What each key is called: `group/name` where several groups have a workload of that name."""
    pairs = {_pair(cell) for cell in cells}
    bearers = Counter(key for key, _ in pairs)
    names: dict[Pair, str] = {}
    for key, qualifier in pairs:
        if key is None:
            names[key, qualifier] = UNATTRIBUTED if by in OWNED else UNKNOWN
        elif by == "workload" and qualifier is not None and bearers[key] > 1:
            names[key, qualifier] = f"{qualifier}/{key}"
        else:
            names[key, qualifier] = key
    return names


def _pair(cell: Cell) -> Pair:
    """A key with its qualifier: a workload's group or owner. What has no key needs none."""
    key, qualifier = cell["key"], cell["qualifier"]
    if key is None or qualifier is None:
        return (None if key is None else str(key)), None
    return str(key), str(qualifier)


def _label(cells: Sequence[Cell], key: str, by: str) -> str:
    if by != "machine":
        return key
    name, native_id = _machine_name(cells), key.rsplit(":", 1)[-1]
    return f"{name} {native_id}" if name else native_id


def _machine_name(cells: Sequence[Cell]) -> str | None:
    """Not every meter of a machine tells its name."""
    return next((str(cell["qualifier"]) for cell in cells if cell["qualifier"]), None)


def _verdict(cell: Cell, verdicts: Mapping[str, str]) -> str | None:
    key, qualifier = _pair(cell)
    if key is None:
        return None
    return verdicts.get(f"{qualifier}/{key}") or verdicts.get(key)


def _line(
    cells: Sequence[Cell], *, key: str, label: str, name: str | None, verdict: str | None
) -> Line:
    spent: dict[str, list[Decimal | None]] = defaultdict(list)
    failed: dict[str, list[Decimal | None]] = defaultdict(list)
    for cell in cells:
        bucket = _bucket(str(cell["bucket"]))
        spent[bucket].append(_dollars(cell["usd"]))
        failed[bucket].append(_dollars(cell["failed_usd"]))
    known = {bucket: _sum(several) for bucket, several in spent.items()}
    wasted = [known[bucket] for bucket in NOTHING_DONE if bucket in known]
    wasted += failed["active"]
    in_failed = [amount for several in failed.values() for amount in several]
    priced = any(amount is not None for amount in known.values())
    return Line(
        key=key,
        label=label,
        name=name,
        verdict=verdict,
        spent=known,
        failed_runs=_sum(in_failed) if priced else None,
        not_productive=(_sum(wasted) or ZERO) if priced else None,
        unpriced_hours=_hours(cells) or 0.0,
        complete=not any(cell["unpriced"] for cell in cells),
    )


def _bucket(name: str) -> str:
    """A phase that this version does not know is unknown."""
    return name if name in BUCKETS else UNKNOWN


def _dollars(value: object) -> Decimal | None:
    return value if isinstance(value, Decimal) else None


def _sum(amounts: Iterable[Decimal | None]) -> Decimal | None:
    """The sum of what is known. None where there is something and none of it is known."""
    told = list(amounts)
    known = [amount for amount in told if amount is not None]
    return None if told and not known else sum(known, ZERO)


def added(lines: Sequence[Line]) -> Line:
    buckets = [bucket for bucket in BUCKETS if any(bucket in line.spent for line in lines)]
    return Line(
        key="total",
        label="total",
        verdict=None,
        spent={
            bucket: _sum(line.spent[bucket] for line in lines if bucket in line.spent)
            for bucket in buckets
        },
        failed_runs=_sum(line.failed_runs for line in lines),
        not_productive=_sum(line.not_productive for line in lines),
        unpriced_hours=round(sum(line.unpriced_hours for line in lines), 6),
        complete=all(line.complete for line in lines),
    )


def unpriced_of(cells: Sequence[Cell]) -> tuple[Unpriced, ...]:
    """By resource, the most hours first."""
    grouped: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        grouped[str(cell["key"])].append(cell)
    found = [
        Unpriced(id=key, name=_machine_name(several), hours=_hours(several))
        for key, several in grouped.items()
    ]
    return tuple(sorted(found, key=lambda each: (-(each.hours or 0.0), each.id)))


def _hours(cells: Sequence[Cell]) -> float | None:
    told = [cell["unpriced_hours"] for cell in cells]
    hours = [each for each in told if isinstance(each, float)]
    return round(sum(hours), 6) if hours else None
