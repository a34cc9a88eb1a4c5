"""`spend-watchdog report`: what was observed, summed up for a decision."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from watchdog.cli import options, output, reading
from watchdog.settings import SettingsError, load_settings

app = typer.Typer()


@app.command()
def report(
    *,
    shadow: Annotated[
        bool,
        typer.Option("--shadow", help="What a policy would have stopped while it only observed."),
    ] = False,
    since: options.Since = None,
    until: options.Until = None,
    policy: options.PolicyName = None,
    config: options.Config = None,
    ledger: options.LedgerUrl = None,
    json: options.Json = False,
) -> None:
    """What would have been stopped while patrols observed, and what that would have saved.

    Every decision uses only what the patrol of that moment knew. Time that no patrol watched
    counts nowhere.
    """
    if not shadow:
        raise SettingsError("report: there is only the shadow report so far: add --shadow")
    from watchdog.composition import policy_named  # noqa: PLC0415 - heavy, not for --help
    from watchdog.shadow.report import shadow_report  # noqa: PLC0415
    from watchdog.shadow.shown import head_lines, road_lines, shadow_json, tables  # noqa: PLC0415

    now = datetime.now(UTC)
    end = min(until or now, now)
    start = options.since_of(since, end)
    settings = load_settings(config)
    tried = policy_named(policy or settings.policy)
    store = reading.opened(config, ledger)
    with output.progress() as progress:
        told = shadow_report(
            store, tried, asked=policy is not None, since=start, until=end, progress=progress
        )
    if json:
        output.print_json(shadow_json(told))
    elif told.watched.looks:
        output.say_wrapped(head_lines(told))
        output.show_tables(lambda width: tables(told, width=width))
        output.say_wrapped(road_lines(told, settings))
    if not told.watched.looks:
        lacking = f"no patrol between {start:%Y-%m-%d %H:%M} and {end:%Y-%m-%d %H:%M} UTC"
        remedy = "let `spend-watchdog patrol` observe for some days, or widen --since"
        output.notice(reading.empty_state(store, lacking, remedy))
