"""Findings of confusion in the ledger's runs: found, priced, written down once, and shown."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from policies.confusion import APART, confusions
from policies.confusion_cost import Billed, Prices, Rented, cost_of
from policies.facts import Attribution, Purchase, Run, WorkloadKey
from policies.maturity import matching
from policies.streaks import Confusion, Lead
from policies.track_record import key_of
from policies.verdicts import Maturity, Verdict
from providers.catalog.offers import accelerators, hourly_price
from watchdog import rows
from watchdog.confusion_shown import Found, detail_of
from watchdog.rows import moment_of
from watchdog.run_leads import leads_of
from watchdog.verdict_changes import subject_of

if TYPE_CHECKING:
    from watchdog.ledger.store import Ledger

KIND = "confusion"
TOLD_BACK = timedelta(days=30)
"""What ended longer ago is no news: `explain` and `workloads` show it, and no event tells it."""
KEPT_BACK = timedelta(days=90)
"""Events of findings that may still go on."""
METERED_BACK = timedelta(days=90)
"""How far back charges are looked at. What is older is priced by what runs tell, or by list."""


def found_confusion(
    ledger: Ledger, runs: Sequence[Run], *, now: datetime
) -> Mapping[WorkloadKey, tuple[Found, ...]]:
    """By workload, what its runs show until now, oldest first."""
    meter = _Meter(ledger, now)
    return meter.priced(_findings(meter, runs, now))


def _findings(meter: _Meter, runs: Sequence[Run], now: datetime) -> tuple[Confusion, ...]:
    return confusions(runs, as_of=now, leads=meter.leads(runs))


class _Meter:
    """What charges and machines of the ledger say of runs. Asks only for what runs name."""

    def __init__(self, ledger: Ledger, now: datetime) -> None:
        self._ledger = ledger
        self._earliest = now - METERED_BACK
        self._machines: Mapping[str, Rented] | None = None

    def leads(self, runs: Iterable[Run]) -> Mapping[str, Lead]:
        lately = [run for run in runs if run.machine_id and run.started_at >= self._earliest]
        hours = self._hours(lately, readying=True)
        return leads_of(lately, hours, self._rented(lately)) if hours else {}

    def priced(self, findings: Sequence[Confusion]) -> Mapping[WorkloadKey, tuple[Found, ...]]:
        runs = [piece.run for each in findings for piece in each.repeats]
        prices = Prices(
            machines=self._rented(runs),
            billed={
                (str(row["ResourceId"]), moment_of(row["hour"])): Billed(
                    hours=float(str(row["hours"])), usd=_usd(row["usd"])
                )
                for row in self._hours(runs, readying=False)
            },
            list_hourly_usd=list_hourly_usd,
        )
        by_workload: dict[WorkloadKey, list[Found]] = defaultdict(list)
        for each in findings:
            cost = cost_of(each.repeats, prices)
            by_workload[each.key].append(Found(finding=each, cost=cost))
        return {key: tuple(several) for key, several in by_workload.items()}

    def _hours(self, runs: Sequence[Run], *, readying: bool) -> Sequence[rows.Row]:
        machines = self._rented(runs)
        named = [run for run in runs if any(name in machines for name in run.machine_ids)]
        if not named:
            return []
        resources = {machines[name].id for r in named for name in r.machine_ids if name in machines}
        # the meter may have run for a day before the first of them began
        since = min(run.started_at for run in named) - timedelta(days=1)
        return self._ledger.rows(
            "machine_hours",
            since=max(since, self._earliest),
            resources=sorted(resources),
            readying=readying,
        )

    def _rented(self, runs: Iterable[Run]) -> Mapping[str, Rented]:
        """The ledger's machines, by id and by native id; not asked where no run names one."""
        if self._machines is None and any(run.machine_id for run in runs):
            machines = [_rented(row) for row in self._ledger.rows("machines_now")]
            by_native = {each.id.rsplit(":", 1)[-1]: each for each in machines}
            self._machines = by_native | {each.id: each for each in machines}
        return self._machines or {}


def _rented(row: rows.Row) -> Rented:
    gpus = row["gpus"]
    return Rented(
        id=str(row["id"]),
        gpus=gpus if isinstance(gpus, int) else None,
        hourly_usd=_usd(row["hourly_usd"]),
    )


def _usd(value: object) -> Decimal | None:
    return value if isinstance(value, Decimal) else None


def list_hourly_usd(run: Run) -> Decimal | None:
    """An hour of all that the run used, on demand, by the offline catalogue; None: not known.

    Where it used some GPUs of a machine only, its part of the price.
    """
    if run.provider is None or run.region is None or run.machine_type is None:
        return None
    hourly = hourly_price(run.provider, run.region, run.machine_type, Purchase.ON_DEMAND).hourly_usd
    if hourly is None:
        return None
    carried = sum(each.count for each in accelerators(run.provider, run.machine_type) or ())
    if run.gpus and carried:
        return hourly * run.gpus / Decimal(str(carried))
    return hourly * (run.nodes or 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """A finding as it was told last."""

    n: str
    since: datetime
    until: datetime
    count: int
    detail_json: str


def tell_confusion(
    ledger: Ledger, runs: Sequence[Run], *, now: datetime, shown: Collection[WorkloadKey]
) -> Mapping[WorkloadKey, tuple[Found, ...]]:
    """Write down what is new or has grown; what is still open of the workloads in `shown`.

    A finding that overlaps one told before, of the same kind and about the same thing, is that one:
    it keeps its name, even where an older run became known since. Only workloads with a run that
    ended lately are looked at, so a patrol does not go through all of the past again.
    """
    lately = now - TOLD_BACK
    alive = {key_of(run) for run in runs if run.ended_at is not None and run.ended_at >= lately}
    meter = _Meter(ledger, now)
    found = _findings(meter, [run for run in runs if key_of(run) in alive], now)
    findings = [each for each in found if each.until >= lately]
    if not findings:
        return {}
    told = _told(ledger, now)
    priced = meter.priced(
        [
            each
            for each in findings
            if _is_news(each, _before(each, told)) or (each.key in shown and _is_open(each, now))
        ]
    )
    everything = [each for several in priced.values() for each in several]
    ledger.append("events", _events(everything, told, now))
    return {
        key: tuple(each for each in several if _is_open(each.finding, now))
        for key, several in priced.items()
        if key in shown
    }


def _is_open(finding: Confusion, now: datetime) -> bool:
    """Whether a further run would still lengthen it."""
    return now - finding.until <= APART


def _told(ledger: Ledger, now: datetime) -> Mapping[tuple[str, str, str], Sequence[_Told]]:
    found: dict[tuple[str, str, str], list[_Told]] = defaultdict(list)
    for row in ledger.rows("confusion_told", since=now - KEPT_BACK):
        text = str(row["detail_json"])
        detail = json.loads(text)
        found[str(row["subject"]), detail["finding"], detail["what"]].append(
            _Told(
                n=str(row["n"]),
                since=datetime.fromisoformat(detail["since"]),
                until=datetime.fromisoformat(detail["until"]),
                count=detail["count"],
                detail_json=text,
            )
        )
    return found


def _before(
    finding: Confusion, told: Mapping[tuple[str, str, str], Sequence[_Told]]
) -> _Told | None:
    same = told.get((subject_of(finding.key), finding.kind.value, finding.what), ())
    fitting = [e for e in same if e.since <= finding.until and finding.since <= e.until]
    return max(fitting, key=lambda each: (each.until, each.n), default=None)


def _is_news(finding: Confusion, before: _Told | None) -> bool:
    return before is None or (before.count, before.until) != (finding.count, finding.until)


def _events(
    found: Iterable[Found], told: Mapping[tuple[str, str, str], Sequence[_Told]], now: datetime
) -> list[dict[str, object]]:
    """A row for each that says something else than before, under the name that it had."""
    events = []
    for each in found:
        finding = each.finding
        before = _before(finding, told)
        event = rows.event_row(
            subject=subject_of(finding.key),
            n=f"{KIND}/{finding.name}" if before is None else before.n,
            at=finding.until,
            kind=KIND,
            machine=None,
            detail=detail_of(each),
            observed_at=now,
        )
        if before is None or before.detail_json != event["detail_json"]:
            events.append(event)
    return events


def confusion_beside(
    attributions: Sequence[Attribution],
    *,
    ledger: Ledger,
    runs: Sequence[Run],
    maturities: Mapping[WorkloadKey, Maturity],
    now: datetime,
) -> Mapping[str, tuple[Found, ...]]:
    """Tells what was found. By machine that exploratory work runs on, what is open of that work.

    `attributions`: one of each running machine.
    """
    keys = {key: key for key in maturities}
    workloads = {
        each.resource: key
        for each in attributions
        if (key := matching(keys, each.key)) is not None
        if maturities[key].verdict is Verdict.EXPLORATORY
    }
    found = tell_confusion(ledger, runs, now=now, shown=frozenset(workloads.values()))
    return {machine: found.get(key, ()) for machine, key in workloads.items()}
