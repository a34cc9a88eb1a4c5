"""`spend-watchdog stop`: a person orders what a patrol would do only after a warning."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from watchdog.cleaning import clean_line
from watchdog.cli import options, output, reading
from watchdog.settings import load_settings

if TYPE_CHECKING:
    from policies.verdicts import Veto
    from watchdog.orders import Ordered
    from watchdog.patrol_report import JudgedMachine

app = typer.Typer()

FINE, FAILED = 0, 1


@app.command()
def stop(
    machine: Annotated[
        str,
        typer.Argument(metavar="MACHINE", help="Its id, native id or name."),
    ],
    *,
    by: Annotated[
        str | None, typer.Option("--by", metavar="WHO", help="Who orders it.", show_default=False)
    ] = None,
    override: Annotated[
        list[str] | None,
        typer.Option(
            metavar="VETO", help="Stop it against this veto; repeatable.", show_default=False
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask again.")] = False,
    config: options.Config = None,
    ledger: options.LedgerUrl = None,
    json: options.Json = False,
) -> None:
    """Stop one machine now; its disks are kept, and nothing is ever terminated.

    The order replaces warning, grace, patience and the limits of a patrol. Every other veto holds,
    each in a sentence, unless --override names it, and then it stands in the audit trail. A stop
    that the cloud would refuse, or that a controller would answer by ending the machine, cannot be
    overridden. Exit codes: 0 stopped or on its way, 1 not stopped, 2 usage or settings wrong.
    """
    from watchdog.actions import Acting  # noqa: PLC0415 - heavy, and not for --help
    from watchdog.composition import incident_channels_of, parts_for_order  # noqa: PLC0415
    from watchdog.explain import machine_named  # noqa: PLC0415
    from watchdog.orders import (  # noqa: PLC0415
        Order,
        carried_out,
        ordered_json,
        refuse_unknown_vetoes,
    )

    refuse_unknown_vetoes(override or ())
    settings = load_settings(config, ledger=ledger)
    row = machine_named(reading.opened(config, ledger), machine)
    order = Order(
        machine=str(row["id"]),
        by=by or getpass.getuser(),
        via="command",
        override=frozenset(override or ()),
    )
    asked = _confirmed if not yes and sys.stdin.isatty() else None
    with output.progress() as progress:
        parts = parts_for_order(settings, order.machine, progress)
        acting = Acting(channels=incident_channels_of(settings))
    now = datetime.now(UTC)
    done = carried_out(parts, acting, order, now=now, confirm=asked)
    if json:
        output.print_json(ordered_json(done, now))
    else:
        _say(done, str(row["name"] or row["id"]))
    raise typer.Exit(FINE if done.done else FAILED)


def _confirmed(each: JudgedMachine, overridden: Sequence[Veto]) -> bool:
    from watchdog.alerts.wording import duration, hourly  # noqa: PLC0415 - not for --help

    machine = each.machine
    facts = (
        machine.machine_type,
        hourly(machine.price.hourly_usd),
        f"{each.phase.phase.value} for {duration(each.idle_minutes)}",
    )
    for veto in overridden:
        output.notice(f"overriding {veto.name}: {veto.why}")
    question = f"Stop {machine.name or machine.id} ({', '.join(facts)})?"
    return typer.confirm(clean_line(question), err=True)


def _say(done: Ordered, name: str) -> None:
    if done.done:
        output.say(f"{name}: {done.result.value}, {done.why}")
        for veto in done.overridden:
            output.say(f"  against {veto.name}: {veto.why}")
        return
    if not done.vetoes:
        output.say(f"{name} was not stopped: {done.why}")
        return
    output.say(f"{name} was not stopped: {done.why}{_way_out(done)}")


def _way_out(done: Ordered) -> str:
    if done.final:
        names = " and ".join(each.name for each in done.final)
        return f". Nobody can override {names}"
    named = " ".join(f"--override {each.name}" for each in done.vetoes)
    return f". To stop it all the same: {named}"
