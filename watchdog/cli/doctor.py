"""`spend-watchdog doctor`: is everything there that a patrol needs?"""

from __future__ import annotations

import typer

from watchdog.cli import options, output
from watchdog.settings import load_settings

app = typer.Typer()


@app.command()
def doctor(
    *,
    config: options.Config = None,
    ledger: options.LedgerUrl = None,
    json: options.Json = False,
) -> None:
    """Check installation, credentials, permissions, GPU metrics and Slack. Changes nothing.

    Exit code 1 where a check found a problem.
    """
    from watchdog.doctor import Health, examine  # noqa: PLC0415 - heavy, and not for --help

    settings = load_settings(config, ledger=ledger)
    with output.progress() as progress:
        checks = []
        for check in examine(settings):
            progress(f"checked {check.what}")
            checks.append(check)
    if json:
        rows = [{"what": c.what, "health": c.health.value, "told": c.told} for c in checks]
        output.print_json({"schema": "spend-watchdog/doctor/1", "checks": rows})
    else:
        for check in checks:
            output.say(f"{check.health.value:<8} {check.what}: {check.told}")
    if any(check.health is Health.PROBLEM for check in checks):
        raise typer.Exit(1)
