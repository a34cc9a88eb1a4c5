"""A ledger with charges, attributions and runs, told in as few words as possible."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from policies.facts import Attribution, Machine
from policies.verdicts import Phase, Stretch
from tests.builders import attribution, machine
from watchdog.costs.breakdown import Breakdown, breakdown
from watchdog.costs.metering import charges_for
from watchdog.ledger.store import Ledger
from watchdog.rows import attribution_rows

DAY = datetime(2026, 11, 23, tzinfo=UTC)
PATROL = DAY + timedelta(hours=12)
BOOTED = DAY - timedelta(days=3)


def at(clock: str) -> datetime:
    hours, minutes = clock.split(":")
    return DAY + timedelta(hours=int(hours), minutes=int(minutes))


class Accounts:
    """The ledger under test, filled by hand."""

    def __init__(self, folder: Path) -> None:
        self.ledger = Ledger.open(str(folder))

    def ran(
        self,
        *stretches: tuple[str, str, str],
        box: Machine | None = None,
        patrol: datetime = PATROL,
    ) -> None:
        """Meter stretches `(from, until, phase)` of a machine as one patrol would."""
        box = box or machine(started_at=BOOTED)
        told = [
            Stretch(started_at=at(begin), ended_at=at(end), phase=Phase(phase))
            for begin, end, phase in stretches
        ]
        self.ledger.append("charges", charges_for(box, told, observed_at=patrol))

    def charged(self, meter: str, clock: str, usd: str | None, **changes: Any) -> None:
        """One hour of a meter other than machine time."""
        begin = at(clock)
        row = {
            "ProviderName": "aws",
            "RegionId": "us-east-1",
            "ResourceId": machine().id,
            "x_Meter": meter,
            "x_Phase": "unknown",
            "ChargePeriodStart": begin,
            "ChargePeriodEnd": begin + timedelta(hours=1),
            "ConsumedQuantity": Decimal(5),
            "ConsumedUnit": "GB",
            "ListCost": None if usd is None else Decimal(usd),
            "date": f"{begin:%Y-%m-%d}",
            "observed_at": PATROL,
        }
        self.ledger.append("charges", [row | changes])

    def belongs(self, *attributions: Attribution, patrol: datetime = PATROL) -> None:
        self.ledger.append("attributions", attribution_rows(attributions, patrol))

    def attempted(self, *runs: Mapping[str, object]) -> None:
        self.ledger.append("runs", runs)

    def costs(
        self, begin: str = "0:00", end: str = "24:00", by: str = "workload", **options: Any
    ) -> Breakdown:
        return breakdown(self.ledger, since=at(begin), until=at(end), by=by, **options)

    def spent(self, by: str = "workload", **options: Any) -> dict[str, str | None]:
        """The totals of a whole day, to the cent."""
        return {row.key: cents(row.total) for row in self.costs(by=by, **options).rows}


def cents(usd: Decimal | None) -> str | None:
    return None if usd is None else f"{usd:.2f}"


def run_row(
    run_id: str, begin: str, end: str | None, outcome: str = "failed", **changes: Any
) -> dict[str, object]:
    row = {
        "run_id": run_id,
        "revision": "1",
        "workload": "llama",
        "started_at": at(begin),
        "ended_at": None if end is None else at(end),
        "outcome": outcome,
        "machine_id": machine().id,
        "observed_at": PATROL,
    }
    return row | changes


def belonged(
    workload: str | None, begin: str | None = None, end: str | None = None, **changes: Any
) -> Attribution:
    """An attribution of the usual machine; without a begin it holds for all the past."""
    values = {} if begin is None else {"started_at": at(begin)}
    return attribution(workload, ended_at=None if end is None else at(end), **(values | changes))


def dollars(rows: Iterable[Decimal | None]) -> Decimal:
    return sum((usd for usd in rows if usd is not None), Decimal(0))


def column(told: Breakdown, name: str) -> Sequence[Decimal | None]:
    return [row.amounts()[name] for row in told.rows]
