"""`spend-watchdog demo`: see it work without an account."""

from __future__ import annotations

from datetime import UTC, datetime

import typer

from watchdog.cli import options, output

app = typer.Typer()


@app.command()
def demo(*, json: options.Json = False) -> None:
    """Run three patrols over a simulated weekend on this machine. Needs no account, no network.

    Prints the table, the alert as Slack would get it, and what the weekend cost.
    """
    from watchdog.alerts.console import plain_text, render  # noqa: PLC0415 - heavy
    from watchdog.costs.breakdown import table  # noqa: PLC0415
    from watchdog.demo import SIMULATED, demonstrate  # noqa: PLC0415
    from watchdog.patrol_json import patrol_json  # noqa: PLC0415

    with output.progress() as progress:
        shown = demonstrate(now=datetime.now(UTC), progress=progress)
    last = shown.reports[-1]
    if json:
        reports = [patrol_json(report) for report in shown.reports]
        output.print_json(
            {"simulated": SIMULATED, "patrols": reports, "costs": shown.costs.to_json()}
        )
        return
    typer.echo(SIMULATED)
    for report in shown.reports:
        told = sum(bool(each.decision.findings) for each in report.machines)
        calls = sum(report.cost_of_watching.api_calls.values())
        typer.echo(
            f"Patrol of {report.at:%A %d %B %H:%M} UTC: {len(report.machines)} machines,"
            f" {told} findings, {calls} API calls, {report.cost_of_watching.seconds:.1f} s"
        )
    typer.echo("\nMonday morning, the last of the three patrols\n")
    output.show(*render(last))
    if shown.alert is not None:
        typer.echo("\nThe message that Slack would have got on Saturday\n")
        typer.echo(plain_text(shown.alert))
    typer.echo("\nWhat the last four days cost (simulated hours at real list prices)\n")
    output.show(table(shown.costs))
    typer.echo(f"\n{SIMULATED}")
