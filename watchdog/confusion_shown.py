"""Findings of confusion in words and in JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from policies.confusion_cost import Cost
from policies.streaks import Confusion
from watchdog.json_values import moment, money

CENT = Decimal("0.01")
NAMED_RUNS = 20
"""Newest run ids that are named; their number stands beside them."""
SHOWN = 5
"""Findings of one workload that are shown to people, the dearest first; the others are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A finding, and what it cost."""

    finding: Confusion
    cost: Cost


def dearest_findings(found: Iterable[Found]) -> list[Found]:
    """Those whose dollars are known by dollars, then by GPU-hours; the newest of equals first."""
    return sorted(found, key=_weight, reverse=True)


def _weight(each: Found) -> tuple[Decimal, float, object, str]:
    return (
        each.cost.usd or Decimal(0),
        each.cost.gpu_hours or 0.0,
        each.finding.until,
        each.finding.name,
    )


def confusion_told(each: Found) -> str:
    """`same error, 2026-11-23: the same error in …; its repeats cost 3.20 GPU-hours, …`."""
    kind = each.finding.kind.value.replace("_", " ")
    since, until = each.finding.since.date(), each.finding.until.date()
    when = f"{since}" if since == until else f"{since} to {until}"
    also = "; its cost is part of another finding's too" if each.finding.overlaps else ""
    return f"{kind}, {when}: {each.finding.why}; {cost_told(each.cost)}{also}"


def cost_told(cost: Cost) -> str:
    hours = "GPU-hours unknown" if cost.gpu_hours is None else f"{cost.gpu_hours:.2f} GPU-hours"
    if cost.usd is None:
        dollars = "dollars unknown"
    else:
        dollars = f"{cost.usd.quantize(CENT):,} USD ({', '.join(cost.basis)})"
    why = "" if cost.why is None else f" ({cost.why})"
    return f"its repeats cost {hours}, {dollars}{why}"


def confusion_lines(found: Sequence[Found]) -> Iterator[str]:
    """The dearest first; those beyond the limit are counted."""
    ranked = dearest_findings(found)
    yield from (confusion_told(each) for each in ranked[:SHOWN])
    if len(ranked) > SHOWN:
        yield f"and {len(ranked) - SHOWN} more; --json lists all of them"


def confusion_json(each: Found) -> dict[str, object]:
    finding, cost = each.finding, each.cost
    return {
        "kind": finding.kind.value,
        "name": finding.name,
        "since": moment(finding.since),
        "until": moment(finding.until),
        "count": finding.count,
        "runs": list(finding.runs),
        "why": finding.why,
        "cost": {
            "gpu_hours": cost.gpu_hours,
            "usd": money(cost.usd),
            "basis": list(cost.basis),
            "why": cost.why,
        },
        "overlaps": list(finding.overlaps),
    }


def detail_of(each: Found) -> dict[str, object]:
    """What an event keeps of a finding."""
    finding, cost = each.finding, each.cost
    return {
        "workload": finding.key.name,
        "group": finding.key.group,
        "finding": finding.kind.value,
        "what": finding.what,
        "since": moment(finding.since),
        "until": moment(finding.until),
        "count": finding.count,
        "runs": list(finding.runs[-NAMED_RUNS:]),
        "because": confusion_told(each),
        "gpu_hours": cost.gpu_hours,
        "usd": money(cost.usd),
        "basis": list(cost.basis),
        "cost_why": cost.why,
        "overlaps": list(finding.overlaps),
    }
