"""An alert in sentences, for every channel. `name` dresses a name as the channel needs it."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from policies.verdicts import QUIET, Phase
from watchdog.alerts.message import Alert, AlertLine, GapLine, Sum, VerdictLine
from watchdog.alerts.wording import counted, duration, hourly, moment, money

Dress: TypeAlias = Callable[[str], str]

NOTICES = 10
"""Notices that one message tells in full, the dearest."""
GAPS = 8
"""Gaps that one message tells in full."""
VERDICTS = 10
"""Changed verdicts that one message tells in full: a first patrol sees all of them change."""


def price_told(line: AlertLine) -> str:
    """`$3.06/h, $223.38 by Monday`; without a price, only that."""
    if line.by_monday_usd is None:
        return hourly(line.hourly_usd)
    return f"{hourly(line.hourly_usd)}, {money(line.by_monday_usd)} by Monday"


def machine_told(line: AlertLine, name: Dress) -> str:
    """`p4d.24xlarge, 8 × A100, aws us-east-1, idle for 2 d 4 h`."""
    parts = [name(line.machine_type), _accelerators(line, name), name(line.place), _doing(line)]
    return ", ".join(part for part in parts if part)


def work_told(line: AlertLine, name: Dress) -> str:
    """`workload llama, owner ana, exploratory`."""
    workload = "no workload known" if line.workload is None else f"workload {name(line.workload)}"
    owner = "no owner known" if line.owner is None else f"owner {name(line.owner)}"
    return f"{workload}, {owner}, maturity {line.verdict.value}"


def reasons_told(line: AlertLine) -> tuple[str, ...]:
    return (line.why, *line.evidence)


def summary_told(alert: Alert) -> str:
    """`2 idle at $12.00/h, 1 unmeasured at $98.00/h. Monday morning: Mon 30 Nov 09:00 UTC. …`."""
    doing = ", ".join(_sum_told(word, total) for word, total in alert.by_phase)
    sentences = [
        doing,
        f"Monday morning: {moment(alert.monday)}" if doing else "",
        "Observed only: nothing was stopped" if alert.mode == "observe" else "",
    ]
    return " ".join(f"{sentence}." for sentence in sentences if sentence)


def rest_told(rest: Sum) -> str:
    machines = counted(rest.machines, "more machine")
    return f"and {machines}: {rest.told()}; spend-watchdog patrol --json lists all"


def gaps_told(gaps: tuple[GapLine, ...]) -> tuple[str, ...]:
    """One sentence a gap; those beyond the limit are counted."""
    lines = [f"{gap.what}, {gap.where}: {gap.why}" for gap in gaps[:GAPS]]
    rest = len(gaps) - GAPS
    return (*lines, f"and {rest} more") if rest > 0 else tuple(lines)


def verdicts_told(lines: Sequence[VerdictLine]) -> tuple[str, ...]:
    """`llama: exploratory → mature (12 of 12 runs …)`; those beyond the limit are counted."""
    told = [
        f"{line.workload}: {line.before.value} → {line.now.value} ({line.why})"
        for line in lines[:VERDICTS]
    ]
    rest = len(lines) - VERDICTS
    return (*told, f"and {rest} more: spend-watchdog workloads") if rest > 0 else tuple(told)


def notices_told(notices: Sequence[str]) -> tuple[str, ...]:
    """Those beyond the limit are counted."""
    rest = len(notices) - NOTICES
    shown = tuple(notices[:NOTICES])
    return (*shown, f"and {rest} more: spend-watchdog patrol") if rest > 0 else shown


def left_alone_told(alert: Alert) -> str | None:
    return None if alert.left_alone is None else f"Left alone: {alert.left_alone}."


def _sum_told(word: str, total: Sum) -> str:
    joint = "," if total.hourly_usd is None else " at"
    return f"{total.machines:,} {word}{joint} {total.told()}"


def _accelerators(line: AlertLine, name: Dress) -> str:
    if line.gpus is None:
        return "accelerators unknown"
    return f"{line.gpus} × {name(line.gpu_model or 'accelerator')}"


def _doing(line: AlertLine) -> str:
    if line.phase is Phase.UNKNOWN:
        return "unmeasured"
    if line.phase in QUIET:
        return f"{line.phase.value} for {duration(line.idle_minutes)}"
    return line.phase.value
