"""The table of machines, dearest waste first; on a narrow terminal two lines a machine."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from policies.verdicts import QUIET, Phase, Wanted
from watchdog.alerts.message import dearest_first, doing, label
from watchdog.alerts.wording import UNKNOWN, duration, money
from watchdog.cleaning import clean
from watchdog.patrol_report import JudgedMachine

WIDE = 120
"""Columns that one line a machine needs."""
TAIL = 8
"""Characters of an id that tell machines apart."""
NAME_LIMIT = 40
STYLES = {Wanted.NOTIFY: "yellow", Wanted.WARN: "yellow", Wanted.STOP: "bold red"}
STYLES[Wanted.UNKNOWN] = "magenta"
HEADS = (
    "Machine",
    "Id",
    "Type",
    "GPUs",
    "Workload",
    "Verdict",
    "Phase",
    "Idle for",
    "$/h",
    "Decision",
)
NARROW_HEADS = (
    "Machine\nid",
    "Type\n× GPUs",
    "Workload\nverdict",
    "Phase\nidle for",
    "$/h",
    "Decision",
)


@dataclass(frozen=True, slots=True)
class MachineTable:
    """Chooses its layout when it is printed, since only then the width is known."""

    machines: Sequence[JudgedMachine]
    """As they are to be shown, in this order."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        del console
        if options.max_width >= WIDE:
            yield _table(HEADS, [_cells(each) for each in self.machines])
        else:
            yield _table(NARROW_HEADS, [_narrow(_cells(each)) for each in self.machines])


def ranked(machines: Sequence[JudgedMachine]) -> list[JudgedMachine]:
    """Quiet and unmeasured ones first, each part by dollars an hour."""
    return sorted(machines, key=lambda each: (not _may_waste(each), dearest_first(each.machine)))


def _may_waste(each: JudgedMachine) -> bool:
    if not each.machine.running:
        return False
    return each.phase.phase in QUIET or each.phase.phase is Phase.UNKNOWN


def _table(heads: Sequence[str], rows: Sequence[Sequence[Text]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False, show_edge=False)
    for head in heads:
        words = head.startswith(("Machine", "Type", "Workload"))
        table.add_column(
            head,
            overflow="fold",
            no_wrap=not words,
            justify="right" if head == "$/h" else "left",
        )
    for row in rows:
        table.add_row(*row)
    return table


def _cells(each: JudgedMachine) -> list[Text]:
    machine, decision = each.machine, each.decision
    wanted = decision.wanted.value + (", vetoed" if decision.vetoes else "")
    return [
        _name(label(machine)),
        Text(clean(machine.native_id)[-TAIL:]),
        _name(machine.machine_type),
        Text(f"× {'?' if machine.gpus is None else machine.gpus}"),
        _name(each.attribution.workload or "–"),
        Text(each.maturity.verdict.value),
        Text(doing(each)),
        Text(duration(each.idle_minutes)),
        Text(UNKNOWN if machine.price.hourly_usd is None else money(machine.price.hourly_usd)),
        Text(wanted, style=STYLES.get(decision.wanted, "")),
    ]


def _narrow(cells: Sequence[Text]) -> list[Text]:
    name, tail, kind, gpus, workload, verdict, phase, idle, price, wanted = cells
    return [
        _stacked(name, tail),
        _stacked(kind, gpus),
        _stacked(workload, verdict),
        _stacked(phase, idle),
        price,
        wanted,
    ]


def _stacked(upper: Text, lower: Text) -> Text:
    return Text("\n").join([upper, Text(lower.plain, style="dim")])


def _name(text: str) -> Text:
    """`Text`, not `str`: in a string, brackets would be read as markup."""
    return Text(clean(text, NAME_LIMIT) or "–")
