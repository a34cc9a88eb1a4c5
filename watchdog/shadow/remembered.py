"""What a patrol knew of each machine when it judged it, kept so that another policy can judge it.

One event whenever something changed: a pause has a handful of them, however long it lasts. What
only passes with time (how long it has been quiet) is left out and worked out again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import floor
from typing import TYPE_CHECKING, Any

from policies.facts import Attribution, WorkloadKind
from policies.verdicts import QUIET, Decision, Phase, PhaseNow, Stretch, Verdict, Veto
from policies.vetoes import Look, vetoes_of
from watchdog import rows
from watchdog.json_values import moment
from watchdog.keeps import Keep, keep_of
from watchdog.patrol_report import JudgedMachine
from watchdog.timekeeping import Accounted
from watchdog.waiting import activity_s

if TYPE_CHECKING:
    from watchdog.ledger.store import Ledger

KIND = "judged"
STEP = 0.05
"""Confidence and coverage are kept in steps, rounded down: never surer than it was."""
VOLATILE = frozenset({"lag_s", "active_from", "activity_s", "why", "vetoes"})
"""What may differ without another row: it follows from the rest, or only words it anew."""

ONLY_OF_PAUSES = frozenset({"confidence", "coverage"})
"""Of a machine that is at work nobody asks how sure that is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What was known of one machine from a patrol on, until the next one of these."""

    machine: str
    boot: str
    at: datetime
    phase: PhaseNow
    lag: timedelta
    """How far the newest measurement lay behind the patrol."""
    active_from: datetime | None
    """When the last activity began; None: none was seen."""
    activity_s: float
    """How long the last activity lasted, as far as it was seen; 0: none was."""
    attribution: Attribution
    verdict: Verdict
    score: float | None
    runs: int
    hourly_usd: Decimal | None
    vetoes: tuple[Veto, ...]
    """All that stood against a stop, whatever was wanted; empty, too, where it was not quiet."""
    why: tuple[str, ...]
    """What was measured, in words; of an unmeasured machine, what would make it visible, too."""

    def phase_at(self, now: datetime) -> PhaseNow:
        """The phase at a later patrol that found nothing new."""
        measured_until = None if self.phase.measured_until is None else now - self.lag
        return PhaseNow(
            phase=self.phase.phase,
            quiet_since=self.phase.quiet_since,
            confidence=self.phase.confidence,
            coverage=self.phase.coverage,
            why=self.why,
            source=self.phase.source,
            measured_until=measured_until,
            sees_gpus=self.phase.sees_gpus,
            host_activity=self.phase.host_activity,
            period=self.phase.period,
        )

    @property
    def quiet(self) -> bool:
        return self.phase.phase in QUIET


def judged_events(
    ledger: Ledger,
    accounted: Sequence[Accounted],
    judged: Sequence[JudgedMachine],
    *,
    keeps: Mapping[str, Keep],
    now: datetime,
) -> list[dict[str, object]]:
    """Of each running machine that is judged otherwise than at the last patrol, one event."""
    running = [
        (each, told) for each, told in zip(accounted, judged, strict=True) if told.machine.running
    ]
    if not running:
        return []
    before = {str(row["machine"]): row for row in ledger.rows("judged_now")}
    found = []
    for each, told in running:
        detail = _detail(each, told, keeps, now)
        if _same(detail, before.get(told.machine.id), told.machine.boot):
            continue
        found.append(
            rows.event_row(
                subject=f"{told.machine.id}/{told.machine.boot}",
                n=f"{KIND}/{now:%Y%m%dT%H%M%SZ}",
                at=now,
                kind=KIND,
                machine=told.machine,
                detail=detail,
                observed_at=now,
            )
        )
    return found


def _same(detail: Mapping[str, Any], last: rows.Row | None, boot: str) -> bool:
    if last is None or last["boot"] != boot:
        return False
    return _kept(detail) == _kept(json.loads(str(last["detail_json"])))


def _kept(detail: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a row another one. Of vetoes, which ones stand; of the host, whether it works."""
    left_out = VOLATILE if detail["quiet_since"] is not None else VOLATILE | ONLY_OF_PAUSES
    kept = {name: value for name, value in detail.items() if name not in left_out}
    host = detail["host_activity"]
    return {
        **kept,
        "vetoed_by": [name for name, _ in detail["vetoes"]],
        "host_activity": host if host is None else bool(host),
    }


def _detail(
    each: Accounted, told: JudgedMachine, keeps: Mapping[str, Keep], now: datetime
) -> dict[str, Any]:
    phase, attribution, decision = told.phase, told.attribution, told.decision
    since = phase.quiet_since
    hourly, score = told.machine.price.hourly_usd, told.maturity.score
    return {
        "phase": phase.phase.value,
        "quiet_since": moment(phase.quiet_since),
        "confidence": _floored(phase.confidence),
        "coverage": _floored(phase.coverage),
        "lag_s": _lag_s(phase, now),
        "period_s": int(phase.period.total_seconds()),
        "sees_gpus": phase.sees_gpus,
        "source": phase.source,
        "host_activity": None if phase.host_activity is None else list(phase.host_activity),
        "active_from": moment(_active_from(each, since or now)),
        "activity_s": 0.0 if since is None else activity_s(each, since),
        "workload": attribution.workload,
        "group": attribution.group,
        "owner": attribution.owner,
        "kind": attribution.kind.value,
        "data_class": attribution.data_class,
        "attributed_by": attribution.rule,
        "verdict": told.maturity.verdict.value,
        "score": None if score is None else round(score, 2),
        "runs": told.maturity.runs,
        "hourly_usd": None if hourly is None else str(hourly),
        **_decided(decision),
        "vetoes": [[veto.name, veto.why] for veto in _vetoes(told, keeps, now)],
        "why": list(decision.why[1:] if phase.phase is Phase.UNKNOWN else phase.why),
    }


def _decided(decision: Decision) -> dict[str, Any]:
    return {"wanted": decision.wanted.value, "rule": decision.rule}


def _vetoes(told: JudgedMachine, keeps: Mapping[str, Keep], now: datetime) -> tuple[Veto, ...]:
    if told.phase.phase not in QUIET:
        return ()
    keep = keep_of(told.machine, keeps)
    look = Look(
        machine=told.machine,
        phase=told.phase,
        kind=told.attribution.kind,
        verdict=told.maturity.verdict,
        now=now,
        # as the engine: what was not read of every machine is read of a candidate before a stop
        host_activity=told.phase.host_activity or (),
        kept_until=None if keep is None else keep.until,
        kept_by=None if keep is None else keep.by,
    )
    return vetoes_of(look)


def _active_from(each: Accounted, until: datetime) -> datetime | None:
    """When the last work before then began; stretches of it that touch are one. None: no work."""
    found: Stretch | None = None
    for stretch in reversed(each.timeline.stretches):
        at_work = stretch.phase not in QUIET and stretch.phase is not Phase.UNKNOWN
        if stretch.started_at >= until or (found is None and not at_work):
            continue
        if not at_work or (found is not None and stretch.ended_at < found.started_at):
            break
        found = stretch
    return None if found is None else found.started_at


def _lag_s(phase: PhaseNow, now: datetime) -> float | None:
    if phase.measured_until is None:
        return None
    return (now - phase.measured_until).total_seconds()


def _floored(share: float) -> float:
    return round(floor(share / STEP + 1e-9) * STEP, 2)


def knowledge(ledger: Ledger, *, until: datetime) -> dict[str, list[Known]]:
    """By machine, what was known of it and from when on, oldest first."""
    found: dict[str, list[Known]] = {}
    told = ledger.rows("judgements", until=until)
    for row in sorted(told, key=lambda row: rows.moment_of(row["at"])):
        found.setdefault(str(row["machine"]), []).append(_known(row))
    return found


def _known(row: rows.Row) -> Known:
    told: Any = json.loads(str(row["detail_json"]))
    at, lag_s = rows.moment_of(row["at"]), told["lag_s"]
    lag = timedelta(seconds=lag_s or 0.0)
    host = told["host_activity"]
    phase = PhaseNow(
        phase=Phase(told["phase"]),
        quiet_since=_moment(told["quiet_since"]),
        confidence=told["confidence"],
        coverage=told["coverage"],
        why=tuple(told["why"]),
        source=told["source"],
        measured_until=None if lag_s is None else at - lag,
        sees_gpus=told["sees_gpus"],
        host_activity=None if host is None else tuple(host),
        period=timedelta(seconds=told["period_s"]),
    )
    attribution = Attribution(
        resource=str(row["machine"]),
        started_at=datetime(1970, 1, 1, tzinfo=UTC),
        ended_at=None,
        workload=told["workload"],
        rule=told["attributed_by"],
        group=told["group"],
        owner=told["owner"],
        kind=WorkloadKind(told["kind"]),
        data_class=told["data_class"],
    )
    return Known(
        machine=str(row["machine"]),
        boot=str(row["boot"]),
        at=at,
        phase=phase,
        lag=lag,
        active_from=_moment(told["active_from"]),
        activity_s=told["activity_s"],
        attribution=attribution,
        verdict=Verdict(told["verdict"]),
        score=told["score"],
        runs=told["runs"],
        hourly_usd=None if told["hourly_usd"] is None else Decimal(told["hourly_usd"]),
        vetoes=tuple(Veto(name=name, why=why) for name, why in told["vetoes"]),
        why=tuple(told["why"]),
    )


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def without_judgements(events: Iterable[rows.Row]) -> Iterator[rows.Row]:
    """What happened, without what was only seen on the way."""
    return (row for row in events if row["kind"] != KIND)
