"""Workloads for people: in an order they ask for, on 80 columns or in a pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from policies.verdicts import Direction, Maturity, Trend, Verdict
from watchdog.bursts import burst_told
from watchdog.workload_spend import spent_told
from watchdog.workloads import Workload

if TYPE_CHECKING:
    import pandas as pd

NOTHING = "–"
FIRST = ("workload", "verdict", "score %", "trend", "what is missing", "7 days", "runs", "GPU h")
"""What stays on a narrow terminal."""
ARROWS = {Direction.RISING: "↑", Direction.STEADY: "→", Direction.FALLING: "↓"}
_ORDER = (Verdict.MATURE, Verdict.EXPLORATORY, Verdict.UNKNOWN)


def sorted_by(found: Sequence[Workload], by: str) -> tuple[Workload, ...]:
    """By one of `SORTED_BY`: most first, and what is unknown at the end. Stable."""
    if by == "risk":
        return tuple(found)
    if by == "name":
        return tuple(sorted(found, key=lambda each: str(each.key)))
    if by == "verdict":
        return tuple(sorted(found, key=lambda each: _ORDER.index(each.maturity.verdict)))
    figure = _FIGURES[by]
    told = [each for each in found if figure(each) is not None]
    untold = [each for each in found if figure(each) is None]
    return (*sorted(told, key=figure, reverse=True), *untold)


def _rise(each: Workload) -> float | None:
    trend, score = each.maturity.trend, each.maturity.score
    return None if trend is None or score is None else score - trend.then


def _burned(each: Workload) -> Decimal | None:
    return None if each.spent is None else each.spent.usd


_FIGURES: Mapping[str, Callable[[Workload], Any]] = {
    "score": lambda each: each.maturity.score,
    "trend": _rise,
    "burned": _burned,
    "runs": lambda each: each.maturity.runs,
    "gpu_hours": lambda each: each.maturity.gpu_hours,
}
SORTED_BY = ("risk", "name", "verdict", *_FIGURES)
"""`risk`: the lowest score first, as they come."""


def for_people(found: Sequence[Workload]) -> pd.DataFrame:
    """One row a workload, in words."""
    import pandas as pd  # noqa: PLC0415 - the command line must start without it

    return pd.DataFrame([_row(each) for each in found])


def _row(each: Workload) -> dict[str, object]:
    maturity = each.maturity
    return {
        "workload": str(each.key),
        "verdict": maturity.verdict.value,
        "score %": _score(maturity),
        "trend": trend_arrow(maturity),
        "7 days": NOTHING if each.spent is None else spent_told(each.spent),
        "runs": maturity.runs,
        "GPU h": NOTHING if maturity.gpu_hours is None else f"{maturity.gpu_hours:.1f}",
        "what is missing": maturity.missing[0] if maturity.missing else "nothing",
    }


def _score(maturity: Maturity) -> str:
    """`81 (70–88)`."""
    if maturity.score is None or maturity.low is None or maturity.high is None:
        return NOTHING
    return f"{maturity.score * 100:.0f} ({maturity.low * 100:.0f}–{maturity.high * 100:.0f})"


def trend_arrow(maturity: Maturity) -> str:
    """`↑ 12`: by so many points of a hundred; `→` where it is steady."""
    trend, score = maturity.trend, maturity.score
    if trend is None or score is None:
        return NOTHING
    arrow = ARROWS[trend.direction]
    if trend.direction is Direction.STEADY:
        return arrow
    return f"{arrow} {abs(score - trend.then) * 100:.0f}"


def trend_told(trend: Trend) -> str:
    """`rising: it was 62% at the run of 2026-11-16, 7 runs ago`."""
    ago = "1 run" if trend.runs == 1 else f"{trend.runs} runs"
    return (
        f"{trend.direction.value}: it was {trend.then:.0%} on {trend.then_at:%Y-%m-%d}, {ago} ago"
    )


def bursts_told(found: Sequence[Workload]) -> Iterator[str]:
    """One line each, under the table."""
    for each in found:
        if each.burst is not None:
            yield f"{each.key}: {burst_told(each.burst)}"
