"""What the money went on: metered charges, joined to workloads when they are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING

from watchdog.costs.breakdown_table import table
from watchdog.costs.lines import Amounts, Line, Unpriced, added, lines_of, unpriced_of
from watchdog.costs.running_time import hour_of
from watchdog.json_values import moment, money

if TYPE_CHECKING:
    import pandas as pd

    from watchdog.ledger.store import Ledger

__all__ = ["BY", "Breakdown", "Line", "Unpriced", "breakdown", "table"]

SCHEMA = "spend-watchdog/costs/1"
BY = ("workload", "owner", "provider", "region", "machine", "phase", "day", "kind", "group")
HOUR = timedelta(hours=1)
EGRESS_NOTE = (
    "egress is what it would cost if all that machines and buckets sent went to the internet:"
    " their meters cannot tell"
)
NO_VERDICTS: Mapping[str, str] = MappingProxyType({})

Moments = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakdown:
    by: str
    since: datetime
    until: datetime
    """Both on a clock hour: charges are kept by the hour."""
    rows: tuple[Line, ...]
    unpriced: tuple[Unpriced, ...]
    notes: tuple[str, ...] = ()
    currency: str = field(default="USD", init=False)
    basis: str = field(default="metered", init=False)

    @property
    def totals(self) -> Line:
        return added(self.rows)

    def to_json(self) -> dict[str, object]:
        return {
            "schema": SCHEMA,
            "currency": self.currency,
            "from": moment(self.since),
            "until": moment(self.until),
            "basis": self.basis,
            "by": self.by,
            "rows": [
                {
                    "key": row.key,
                    **self._names(row),
                    "verdict": row.verdict,
                    **_told(row.amounts()),
                }
                for row in self.rows
            ],
            "totals": _told(self.totals.amounts()),
            "unpriced": [
                {"id": each.id, "name": each.name, "hours": each.hours} for each in self.unpriced
            ],
            "notes": list(self.notes),
        }

    def to_frame(self) -> pd.DataFrame:
        """One row a key; dollars are Decimals, and None where unknown. Machines also have names."""
        import pandas as pd  # noqa: PLC0415 - the command line must start without it

        figures = [*self.totals.amounts(), "unpriced_hours"]
        named = self.by == "machine"
        columns = ["key", "verdict", *figures, *(["name"] if named else [])]
        rows = [
            [
                row.key,
                row.verdict,
                *row.amounts().values(),
                row.unpriced_hours,
                *self._names(row).values(),
            ]
            for row in self.rows
        ]
        return pd.DataFrame(rows, columns=columns, dtype=object)

    def _names(self, row: Line) -> dict[str, str | None]:
        """Of a machine: its key is an id that nobody remembers."""
        return {"name": row.name} if self.by == "machine" else {}


def breakdown(
    ledger: Ledger,
    *,
    since: datetime,
    until: datetime,
    by: str,
    workload: str | None = None,
    verdicts: Mapping[str, str] = NO_VERDICTS,
) -> Breakdown:
    """What was spent from `since` until `until`, both widened to whole clock hours.

    `by`: one of `BY`. `workload`: only this one, by its name or `group/name`. `verdicts`: by
    workload, as `name` or `group/name`.
    """
    if by not in BY:
        raise ValueError(f"costs by {by}: there are only {', '.join(BY)}")
    begin, end = _whole_hours(since, until)
    asked = {"since": begin, "until": end, "workload": workload}
    rows = lines_of(ledger.rows("breakdown", by=by, **asked), by, verdicts)
    unpriced = []
    if not all(row.complete for row in rows):
        unpriced = ledger.rows("breakdown", by="machine", only_unpriced=True, **asked)
    return Breakdown(
        by=by,
        since=begin,
        until=end,
        rows=rows,
        unpriced=unpriced_of(unpriced),
        notes=(*_notes((since, until), (begin, end)), *_egress_notes(rows)),
    )


def _whole_hours(since: datetime, until: datetime) -> tuple[datetime, datetime]:
    begin, last = hour_of(since.astimezone(UTC)), hour_of(until.astimezone(UTC))
    return begin, last if last == until else last + HOUR


def _notes(asked: Moments, whole: Moments) -> tuple[str, ...]:
    if asked == whole:
        return ()
    told = " to ".join(f"{each:%Y-%m-%d %H:%M}" for each in whole)
    return (f"costs are kept by the clock hour: these are of {told} UTC",)


def _egress_notes(rows: Sequence[Line]) -> tuple[str, ...]:
    """Most meters count bytes that never leave: a total must not pass that on unsaid."""
    if not any(row.spent.get("egress") for row in rows):
        return ()
    return (EGRESS_NOTE,)


def _told(amounts: Amounts) -> dict[str, str | None]:
    return {name: money(amount) for name, amount in amounts.items()}
