"""What the backfilled days cost, machine by machine, on a terminal."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal

from rich import box
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from watchdog.alerts.cleaning import clean
from watchdog.alerts.wording import UNKNOWN, counted, hours, money
from watchdog.patrol_report import BackfillLine, PatrolReport, by_waste

LIMIT = 20
"""Rows; the others are counted and summed."""
NAME_LIMIT = 60
HEADS = ("Machine", "Workload", "Idle", "Idle $", "Unmeasured", "Unmeasured $", "All $")


def backfill_section(report: PatrolReport) -> Iterator[RenderableType]:
    """Nothing where nothing was backfilled."""
    if report.backfilled_from is None or not report.backfill:
        return
    lines = sorted(report.backfill, key=by_waste)
    yield Text(f"\n{_title(report.backfilled_from, report.at)}", style="bold")
    yield _table(lines[:LIMIT])
    yield Padding(Text("\n".join(_sums(lines))), (0, 0, 0, 2), expand=False)
    advice = list(_advice(lines))
    if advice:
        yield Padding(Text("\n".join(advice)), (0, 0, 0, 2), expand=False)


def _title(since: datetime, at: datetime) -> str:
    days = round((at - since).total_seconds() / 86400)
    return "The last day" if days == 1 else f"The last {days} days"


def _table(lines: Sequence[BackfillLine]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), pad_edge=False, show_edge=False)
    for head in HEADS:
        named = head in {"Machine", "Workload"}
        table.add_column(head, overflow="fold", justify="left" if named else "right")
    for line in lines:
        table.add_row(*_cells(line))
    return table


def _cells(line: BackfillLine) -> list[Text]:
    return [
        Text(_label(line)),
        Text(clean(line.workload or "", NAME_LIMIT) or "–"),
        Text(hours(line.idle_hours)),
        Text(_usd(line.idle_usd)),
        Text(hours(line.unmeasured_hours)),
        Text(_usd(line.unmeasured_usd)),
        Text(_usd(line.total_usd)),
    ]


def _label(line: BackfillLine) -> str:
    return clean(line.name or "", NAME_LIMIT) or clean(line.machine.rsplit(":", 1)[-1], NAME_LIMIT)


def _usd(amount: Decimal | None) -> str:
    return UNKNOWN if amount is None else money(amount)


def _sums(lines: Sequence[BackfillLine]) -> Iterator[str]:
    """Sums over the machines with a price; those without one are named beside them."""
    idle = [line.idle_usd for line in lines if line.idle_usd is not None]
    unmeasured = [line.unmeasured_usd for line in lines if line.unmeasured_usd is not None]
    total = [line.total_usd for line in lines if line.total_usd is not None]
    yield (
        f"{counted(len(lines), 'machine')}: idle {_sum(idle)}, unmeasured {_sum(unmeasured)},"
        f" all {_sum(total)}."
    )
    unpriced = sum(line.total_usd is None for line in lines)
    if unpriced:
        machines = counted(unpriced, "machine")
        yield f"{machines} without a full price: what is unpriced is not in the sums."
    if len(lines) > LIMIT:
        yield f"{counted(len(lines) - LIMIT, 'more machine')} not listed: --json has all of them."


def _sum(amounts: Sequence[Decimal]) -> str:
    return money(sum(amounts, Decimal(0))) if amounts else UNKNOWN


def _advice(lines: Sequence[BackfillLine]) -> Iterator[str]:
    """Each piece of advice once, with the dollars that it would make visible."""
    pieces = dict.fromkeys(line.advice for line in lines if line.advice is not None)
    for piece in pieces:
        blind = [line for line in lines if line.advice == piece]
        dark = [line.unmeasured_usd for line in blind if line.unmeasured_usd is not None]
        yield f"{counted(len(blind), 'machine')} unmeasured, {_sum(dark)}: {clean(piece)}"
