"""Every workload that the ledger knows, with its maturity: by runs, and by what runs now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal

from policies.facts import Run, WorkloadKey, WorkloadKind
from policies.maturity import assess, unknown_maturity
from policies.track_record import key_of
from policies.verdicts import Maturity
from watchdog import rows
from watchdog.cleaning import clean
from watchdog.costs.lines import UNATTRIBUTED

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from watchdog.ledger.store import Ledger

SCHEMA = "spend-watchdog/workloads/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    key: WorkloadKey
    kind: WorkloadKind
    maturity: Maturity


def workloads(ledger: Ledger, *, now: datetime) -> tuple[Workload, ...]:
    """Workloads that have a run or a machine, the riskiest first; unknown ones at the end."""
    runs = [rows.run_from(row) for row in ledger.rows("runs")]
    maturities = assess(runs, as_of=now)
    kinds = _kinds(runs, ledger.rows("attributions"))
    keys = {*maturities, *_without_runs(kinds, maturities)}
    found = [
        Workload(
            key=key,
            kind=kinds.get(key, WorkloadKind.UNKNOWN),
            maturity=maturities.get(key) or unknown_maturity(now),
        )
        for key in keys
    ]
    return tuple(sorted(found, key=_risk))


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
        "runs": maturity.runs,
        "gpu_hours": maturity.gpu_hours,
        "succeeded": maturity.succeeded,
        "failed": maturity.failed,
        "questions": {
            question.value: {"answer": told.answer.value, "evidence": told.evidence}
            for question, told in maturity.questions.items()
        },
        "missing": list(maturity.missing),
    }


def to_frame(found: Sequence[Workload]) -> pd.DataFrame:
    """One row a workload; the answers are columns of their own."""
    import pandas as pd  # noqa: PLC0415 - the command line must start without it

    table = []
    for workload in found:
        row = workload_json(workload)
        questions = workload.maturity.questions
        answers = {question.value: told.answer.value for question, told in questions.items()}
        table.append({k: v for k, v in row.items() if k not in {"questions", "missing"}} | answers)
    return pd.DataFrame(table)


def table(found: Sequence[Workload]) -> Table:
    from rich.markup import escape  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    shown = Table(title="Workloads", title_justify="left")
    for name in ("workload", "verdict", "score", "runs", "GPU h", "what is missing"):
        justify: Literal["left", "right"] = (
            "right" if name in {"score", "runs", "GPU h"} else "left"
        )
        shown.add_column(name, justify=justify, overflow="fold")
    for workload in found:
        maturity = workload.maturity
        score = "–" if maturity.score is None else f"{maturity.score:.2f}"
        hours = "–" if maturity.gpu_hours is None else f"{maturity.gpu_hours:.1f}"
        missing = maturity.missing[0] if maturity.missing else "nothing"
        name = escape(clean(str(workload.key)))
        shown.add_row(
            name, maturity.verdict.value, score, str(maturity.runs), hours, escape(clean(missing))
        )
    return shown
