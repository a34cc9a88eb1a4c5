"""`spend-watchdog patrol`: one pass over everything that is watched."""

from __future__ import annotations

import gc
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from watchdog.cli import options, output
from watchdog.settings import Settings, SettingsError, load_settings

if TYPE_CHECKING:
    from watchdog.patrol_report import PatrolReport

app = typer.Typer()

FINE, FINDINGS, UNSEEN = 0, 3, 4


@app.command()
def patrol(
    *,
    provider: Annotated[
        list[str] | None,
        typer.Option(help="Watch this provider only; repeatable.", metavar="P", show_default=False),
    ] = None,
    region: Annotated[
        list[str] | None,
        typer.Option(help="Watch this region only; repeatable.", metavar="R", show_default=False),
    ] = None,
    policy: options.PolicyName = None,
    act: Annotated[
        bool, typer.Option("--act", help="Warn and stop, where the policy's mode is act.")
    ] = False,
    no_alerts: Annotated[bool, typer.Option("--no-alerts", help="Tell nobody.")] = False,
    backfill: Annotated[
        timedelta | None,
        typer.Option(
            parser=options.duration,
            metavar="D",
            help="Read this far back; a first patrol reads 14d.",
            show_default=False,
        ),
    ] = None,
    every: Annotated[
        timedelta | None,
        typer.Option(
            parser=options.duration,
            metavar="D",
            help="Keep running, one patrol each D.",
            show_default=False,
        ),
    ] = None,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 3 where there are findings.")
    ] = False,
    config: options.Config = None,
    ledger: options.LedgerUrl = None,
    json: options.Json = False,
) -> None:
    """Look at every machine with accelerators, judge it, remember it, and tell what burns money.

    Observes unless --act is given and the policy's mode is act. Exit codes: 0 fine, 2 settings or
    policy wrong, 3 findings (with --exit-code), 4 something asked for could not be seen.
    """
    settings = load_settings(
        config,
        providers=tuple(provider) if provider else None,
        regions=tuple(region) if region else None,
        policy=policy,
        ledger=ledger,
    )
    if every is not None and not every:
        raise SettingsError("--every 0s would never rest: give it time between patrols, as 5m")
    acting = act or settings.act
    if acting and no_alerts:
        raise SettingsError("--act with --no-alerts is refused: nothing is stopped unannounced")
    first = True
    while True:
        report = _once(settings, backfill, alerts=not no_alerts, act=acting, first=first)
        first = False
        _print(report, json=json, live=every is not None)
        if every is None:
            raise typer.Exit(_code(report, findings=exit_code))
        time.sleep(every.total_seconds())


def _once(
    settings: Settings, backfill: timedelta | None, *, alerts: bool, act: bool, first: bool
) -> PatrolReport:
    """One patrol. The first also refuses regions that do not exist: later it would be an outage."""
    from watchdog.composition import parts_of  # noqa: PLC0415 - heavy, and not for --help
    from watchdog.regions import refuse_unknown_regions  # noqa: PLC0415
    from watchdog.rounds import patrol_round  # noqa: PLC0415

    _collect_rarely()
    with output.progress() as progress:
        parts = parts_of(settings, alerts=alerts, progress=progress, act=act)
        if act and parts.acting is None:
            output.notice(f"policy {parts.policy.name} only observes: nothing will be stopped")
        if first:
            refuse_unknown_regions(settings.regions, parts.providers)
        done = patrol_round(settings, parts, backfill=backfill)
    for notice in done.notices:
        output.notice(notice)
    return done.report


def _collect_rarely() -> None:
    """A patrol builds up values that last until its end, nearly all without cycles.

    Looking through them again and again for cycles took an eighth of a large patrol's time.
    """
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)


def _print(report: PatrolReport, *, json: bool, live: bool) -> None:
    if json:
        from watchdog.patrol_json import patrol_json  # noqa: PLC0415

        output.print_json(patrol_json(report))
        return
    from watchdog.alerts.console import render  # noqa: PLC0415

    if live:
        output.clear()
    output.show(*render(report))


def _code(report: PatrolReport, *, findings: bool) -> int:
    """What could not be seen weighs more than what was found."""
    if report.gaps:
        return UNSEEN
    if findings and any(each.decision.findings for each in report.machines):
        return FINDINGS
    return FINE
