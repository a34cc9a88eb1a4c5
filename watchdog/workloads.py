"""Every workload that the ledger knows, with its maturity: by runs, and by what runs now."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING

from policies.facts import Run, WorkloadKey, WorkloadKind
from policies.maturity import Memory, judged, learned, unknown_maturity
from policies.track_record import key_of
from policies.verdicts import Maturity, Trend
from watchdog import rows
from watchdog.bursts import RentedBurst, burst_json, rented_burst
from watchdog.confusion import found_confusion
from watchdog.confusion_shown import Found, confusion_json
from watchdog.costs.lines import UNATTRIBUTED
from watchdog.json_values import moment
from watchdog.workload_spend import Spent, spent_json, spent_lately

if TYPE_CHECKING:
    import pandas as pd

    from watchdog.ledger.store import Ledger

SCHEMA = "spend-watchdog/workloads/1"


class UnknownSubject(Exception):  # noqa: N818 - a user's word that fits nothing
    exit_code = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    key: WorkloadKey
    kind: WorkloadKind
    maturity: Maturity
    spent: Spent | None = None
    """None: it was not asked for."""
    burst: RentedBurst | None = None
    confusion: tuple[Found, ...] | None = None
    """What it did again and again; None: it was not asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the ledger knows of all workloads at a moment: the fold, and what it rests on."""

    workloads: tuple[Workload, ...]
    """The riskiest first; unknown ones at the end."""
    runs: Mapping[WorkloadKey, Sequence[Run]]
    memory: Memory
    attributions: Sequence[rows.Row]
    now: datetime


def known_workloads(ledger: Ledger, *, now: datetime) -> Known:
    """Workloads that have a run or a machine."""
    runs = [rows.run_from(row) for row in ledger.rows("runs")]
    attributions = ledger.rows("attributions")
    memory = learned(runs, as_of=now)
    maturities = judged(memory, as_of=now)
    kinds = _kinds(runs, attributions)
    keys = {*maturities, *_without_runs(kinds, maturities)}
    found = [
        Workload(
            key=key,
            kind=kinds.get(key, WorkloadKind.UNKNOWN),
            maturity=maturities.get(key) or unknown_maturity(now),
        )
        for key in keys
    ]
    by_workload: dict[WorkloadKey, list[Run]] = defaultdict(list)
    for run in runs:
        by_workload[key_of(run)].append(run)
    return Known(
        workloads=tuple(sorted(found, key=_risk)),
        runs=by_workload,
        memory=memory,
        attributions=attributions,
        now=now,
    )


def workloads(ledger: Ledger, *, now: datetime) -> tuple[Workload, ...]:
    return known_workloads(ledger, now=now).workloads


def with_figures(
    ledger: Ledger, known: Known, *, regions: Sequence[str] | None = None
) -> tuple[Workload, ...]:
    """The same workloads with what they burn, and what they wait for at home."""
    spent = spent_lately(ledger, [each.key for each in known.workloads], now=known.now)
    runs = [run for each in known.workloads for run in known.runs.get(each.key, ())]
    confusion = found_confusion(ledger, runs, now=known.now)
    return tuple(
        replace(
            with_burst(each, known, regions=regions),
            spent=spent[each.key],
            confusion=confusion.get(each.key, ()),
        )
        for each in known.workloads
    )


def with_burst(workload: Workload, known: Known, *, regions: Sequence[str] | None) -> Workload:
    runs = known.runs.get(workload.key, ())
    burst = rented_burst(runs, workload.maturity, regions=regions, now=known.now)
    return replace(workload, burst=burst)


def named(known: Sequence[Workload], subject: str) -> Workload | None:
    """By `group/name`, or by a name that only one bears."""
    for each in known:
        if str(each.key) == subject:
            return each
    fitting = [each for each in known if each.key.name == subject]
    if len(fitting) > 1:
        names = ", ".join(str(each.key) for each in fitting)
        raise UnknownSubject(f"{subject} names {len(fitting)} workloads; say which: {names}")
    return fitting[0] if fitting else None


def _without_runs(
    kinds: Mapping[WorkloadKey, WorkloadKind], maturities: Mapping[WorkloadKey, Maturity]
) -> list[WorkloadKey]:
    """Workloads of machines whose name no run bears."""
    with_runs = {key.name for key in maturities}
    return [key for key in kinds if key.name not in with_runs]


def _kinds(
    runs: Sequence[Run], attributions: Sequence[rows.Row]
) -> dict[WorkloadKey, WorkloadKind]:
    kinds: dict[WorkloadKey, WorkloadKind] = {}
    for row in attributions:
        if row["workload"] is None:
            continue
        group = row["workload_group"] or row["owner"]
        key = WorkloadKey(group=None if group is None else str(group), name=str(row["workload"]))
        kinds[key] = WorkloadKind(str(row["kind"] or "unknown"))
    for run in runs:
        if kinds.get(key_of(run), WorkloadKind.UNKNOWN) is WorkloadKind.UNKNOWN:
            kinds[key_of(run)] = run.kind
    return kinds


def _risk(workload: Workload) -> tuple[bool, float, str, str]:
    score = workload.maturity.score
    return score is None, score or 0.0, workload.key.group or "", workload.key.name


def verdicts_by_label(ledger: Ledger, *, now: datetime) -> dict[str, str]:
    """The verdict under each name by which a cost row may call a workload."""
    found = workloads(ledger, now=now)
    names = Counter(each.key.name for each in found)
    verdicts = {str(each.key): each.maturity.verdict.value for each in found}
    verdicts |= {
        each.key.name: each.maturity.verdict.value for each in found if names[each.key.name] == 1
    }
    return verdicts


def near_workloads(ledger: Ledger, name: str, *, now: datetime) -> Sequence[str] | None:
    """Names like one that no workload bears; None where one does."""
    known = [*verdicts_by_label(ledger, now=now), UNATTRIBUTED]
    if name in known:
        return None
    return _close(name, known)


def near_names(known: Known, name: str) -> Sequence[str] | None:
    """Names like one that no workload bears; None where one does."""
    names = {str(each.key) for each in known.workloads}
    names |= {each.key.name for each in known.workloads}
    return None if name in names else _close(name, sorted(names))


def _close(name: str, known: Sequence[str]) -> list[str]:
    """A name and the same name with its group are one."""
    close = get_close_matches(name, known, n=3)
    return [each for each in close if each.rsplit("/", 1)[-1] not in set(close) - {each}]


def workloads_json(found: Sequence[Workload]) -> dict[str, object]:
    return {"schema": SCHEMA, "rows": [workload_json(each) for each in found]}


def workload_json(workload: Workload) -> dict[str, object]:
    maturity = workload.maturity
    return {
        "workload": workload.key.name,
        "group": workload.key.group,
        "kind": workload.kind.value,
        "verdict": maturity.verdict.value,
        "score": maturity.score,
        "low": maturity.low,
        "high": maturity.high,
        "trend": _trend_json(maturity.trend),
        "runs": maturity.runs,
        "gpu_hours": maturity.gpu_hours,
        "succeeded": maturity.succeeded,
        "failed": maturity.failed,
        "questions": {
            question.value: {"answer": told.answer.value, "evidence": told.evidence}
            for question, told in maturity.questions.items()
        },
        "missing": list(maturity.missing),
        "proven_gpus": maturity.proven_gpus,
        "as_of": moment(maturity.as_of),
        "spent_7d": None if workload.spent is None else spent_json(workload.spent),
        "burst": burst_json(workload.burst),
        "confusion": None
        if workload.confusion is None
        else [confusion_json(each) for each in workload.confusion],
    }


def _trend_json(trend: Trend | None) -> dict[str, object] | None:
    if trend is None:
        return None
    return {
        "direction": trend.direction.value,
        "score_then": trend.then,
        "then_at": moment(trend.then_at),
        "runs_since": trend.runs,
    }


def to_frame(found: Sequence[Workload]) -> pd.DataFrame:
    """One row a workload; the answers are columns of their own."""
    import pandas as pd  # noqa: PLC0415 - the command line must start without it

    return pd.DataFrame([_frame_row(each) for each in found])


def _frame_row(workload: Workload) -> dict[str, object]:
    apart = {"questions", "missing", "trend", "spent_7d", "burst", "confusion"}
    told = {name: value for name, value in workload_json(workload).items() if name not in apart}
    questions = workload.maturity.questions
    answers = {question.value: evidence.answer.value for question, evidence in questions.items()}
    trend, spent, burst = workload.maturity.trend, workload.spent, workload.burst
    return {
        **told,
        **answers,
        "trend": None if trend is None else trend.direction.value,
        "spent_7d_usd": None if spent is None else spent.usd,
        "spent_7d_unpriced_hours": None if spent is None else spent.unpriced_hours,
        "queued_hours_30d": None if burst is None else burst.burst.queued_hours,
    }
