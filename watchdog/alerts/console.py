"""A patrol on a terminal, and an alert as plain text."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from watchdog.alerts.console_backfill import backfill_section
from watchdog.alerts.console_confusion import confusion_section
from watchdog.alerts.console_egress import egress_section
from watchdog.alerts.console_leftovers import leftovers_section
from watchdog.alerts.console_machines import MachineTable, ranked
from watchdog.alerts.console_storage import storage_section
from watchdog.alerts.message import (
    Alert,
    AlertLine,
    gap_lines,
    label,
    reasons,
    sum_of,
    told_machines,
    untold,
    verdict_lines,
)
from watchdog.alerts.sentences import (
    gaps_told,
    left_alone_told,
    machine_told,
    notices_told,
    price_told,
    reasons_told,
    rest_told,
    summary_told,
    verdicts_told,
    work_told,
)
from watchdog.alerts.wording import counted, money
from watchdog.cleaning import clean
from watchdog.patrol_report import JudgedMachine, PatrolReport

ROWS = 100
"""Machines in the table; the others are counted and summed."""
NAMES = 4
"""Machines named for one reason; the others are counted."""
GROUPS = 15
"""Machines, or groups of them, whose evidence is told for one reason."""
NAME_LIMIT = 40
REASON_WIDTH = 26


def render(report: PatrolReport) -> tuple[RenderableType, ...]:
    """Everything that a person should see of a patrol, top to bottom."""
    return (
        Text(f"Patrol of {report.at:%Y-%m-%d %H:%M} UTC, mode {report.mode}", style="bold"),
        *_machine_section(report),
        *_why_section(report),
        *leftovers_section(report),
        *storage_section(report),
        *confusion_section(report),
        *_verdict_section(report),
        *_gap_section(report),
        *backfill_section(report),
        *egress_section(report),
        *_outcome_section(report),
        _watching(report),
    )


def plain_text(alert: Alert) -> str:
    """The alert as a channel gets it, without its formatting."""
    rest = untold(alert, alert.lines)
    lines = [alert.headline, summary_told(alert)]
    for line in alert.lines:
        lines += ["", *_told(line)]
    if rest is not None:
        lines += ["", rest_told(rest)]
    if alert.verdicts:
        verdicts = (f"  {clean(told)}" for told in verdicts_told(alert.verdicts))
        lines += ["", "Verdicts that changed", *verdicts]
    if alert.notices:
        lines += ["", "Also to know", *(f"  {clean(told)}" for told in notices_told(alert.notices))]
    if alert.gaps:
        gaps = (f"  {clean(told)}" for told in gaps_told(alert.gaps))
        lines += ["", "Could not be seen", *gaps]
    alone = left_alone_told(alert)
    return "\n".join([*lines, "", alone] if alone else lines)


def _told(line: AlertLine) -> list[str]:
    facts = [machine_told(line, _name), work_told(line, _name)]
    facts += [clean(reason) for reason in reasons_told(line)]
    return [f"{_name(line.name)}  {price_told(line)}", *(f"  {fact}" for fact in facts)]


def _machine_section(report: PatrolReport) -> Iterator[RenderableType]:
    """Those whose meter runs, or may run; the others are counted."""
    metered = [each for each in report.machines if _may_cost(each)]
    resting = [each for each in report.machines if not _may_cost(each)]
    if not any(each.machine.running for each in metered):
        yield Text(f"\n{_nothing_runs(report)}")
    if metered:
        rows = ranked(metered)
        yield Text("")
        yield MachineTable(rows[:ROWS])
        if len(rows) > ROWS:
            rest = sum_of(each.machine for each in rows[ROWS:])
            machines = counted(rest.machines, "more machine")
            yield Text(f"… and {machines}, {rest.told()}; --json lists all of them")
    if resting:
        states = Counter(each.machine.state.value for each in resting)
        counts = ", ".join(f"{count:,} {state}" for state, count in states.most_common())
        yield Text(f"Not running and not listed: {counts}.")


def _may_cost(each: JudgedMachine) -> bool:
    return each.machine.running or each.machine.metered is not False


def _nothing_runs(report: PatrolReport) -> str:
    looked = "; ".join(map(clean, _places(report))) or "what was looked at, by the calls below"
    unseen = " Not everything could be seen." if report.gaps else ""
    return f"No machine with an accelerator is running in {looked}.{unseen}"


def _places(report: PatrolReport) -> list[str]:
    """`aws 123456789012 (eu-west-1, us-east-1 and 15 more)`"""
    regions: dict[tuple[str, str], list[str]] = defaultdict(list)
    for scope in report.watched:
        regions[scope.provider, scope.account or "account unknown"].append(scope.region or "")
    return [f"{' '.join(place)} ({_listed(sorted(told))})" for place, told in regions.items()]


def _calls(report: PatrolReport) -> list[tuple[str, int]]:
    calls = report.cost_of_watching.api_calls
    return sorted(calls.items(), key=lambda each: (-each[1], each[0]))


def _why_section(report: PatrolReport) -> Iterator[RenderableType]:
    told = told_machines(report.machines)
    if not told:
        return
    yield Text("\nWhy", style="bold")
    for because, machines in _by_reason(told).items():
        yield _indented(Text(clean(because)), 2)
        yield from _evidence_section(machines)


def _evidence_section(
    machines: Mapping[tuple[str, ...], Sequence[str]],
) -> Iterator[RenderableType]:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(max_width=REASON_WIDTH, overflow="fold")
    grid.add_column(overflow="fold")
    for evidence, names in islice(machines.items(), GROUPS):
        grid.add_row(Text(_listed(names)), Text("\n".join(map(clean, evidence))))
    yield _indented(grid, 4)
    rest = sum(len(names) for names in islice(machines.values(), GROUPS, None))
    if rest:
        more = f"and {counted(rest, 'more machine')}: spend-watchdog explain MACHINE"
        yield _indented(Text(more), 4)


def _by_reason(
    told: Sequence[JudgedMachine],
) -> Mapping[str, Mapping[tuple[str, ...], list[str]]]:
    """Machines by their reason, then by what it rests on: a fleet often has one trouble."""
    found: dict[str, dict[tuple[str, ...], list[str]]] = defaultdict(lambda: defaultdict(list))
    for each in told:
        because, evidence = reasons(each.decision)
        found[because][evidence].append(_name(label(each.machine)))
    return found


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMES:,} more" if len(names) > NAMES else ""
    return ", ".join(names[:NAMES]) + more


def _gap_section(report: PatrolReport) -> Iterator[RenderableType]:
    if not report.gaps:
        return
    yield Text("\nCould not be seen", style="bold")
    for gap in gap_lines(report.gaps):
        told = f"{gap.what}, {gap.where}: {gap.why}"
        yield _indented(Text(clean(told)), 2)


def _verdict_section(report: PatrolReport) -> Iterator[RenderableType]:
    if not report.verdict_changes:
        return
    yield Text("\nVerdicts that changed", style="bold")
    for told in verdicts_told(verdict_lines(report.verdict_changes)):
        yield _indented(Text(clean(told)), 2)


def _outcome_section(report: PatrolReport) -> Iterator[RenderableType]:
    """What became of the decisions: a message that did not arrive must be seen somewhere."""
    counts = Counter((each.action, each.result.value, each.why) for each in report.outcomes)
    if counts:
        yield Text("\nTold and done", style="bold")
    for (action, result, why), count in counts.items():
        told = f"{clean(action)} {result} for {counted(count, 'machine')}: {clean(why)}"
        yield _indented(Text(told), 2)


def _watching(report: PatrolReport) -> RenderableType:
    watching = report.cost_of_watching
    calls = _calls(report)
    named = ", ".join(f"{name} × {count}" for name, count in calls)
    price = "price unknown" if watching.usd is None else money(watching.usd)
    told = (
        f"Watching took {watching.seconds:.1f} s, {counted(sum(c for _, c in calls), 'API call')}"
    )
    return Text(f"\n{told} ({price}){f': {named}' if named else ''}.", style="dim")


def _indented(shown: RenderableType, columns: int) -> RenderableType:
    return Padding(shown, (0, 0, 0, columns), expand=False)


def _name(text: str) -> str:
    return clean(text, NAME_LIMIT) or "–"
