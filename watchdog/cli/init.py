"""`spend-watchdog init`: the first file, and what to paste where."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from watchdog.cli import options, output
from watchdog.settings import FILE_NAME, SettingsError, load_settings

app = typer.Typer()


@app.command()
def init(
    *,
    target: Annotated[
        Path, typer.Option("--config", metavar="FILE", help="The settings file to write.")
    ] = Path(FILE_NAME),
    json: options.Json = False,
) -> None:
    """Write the settings file; print the role, a mapping file and the Slack manifest.

    An existing file is left as it is, and nothing in any cloud is changed.
    """
    from watchdog.composition import providers_of  # noqa: PLC0415 - heavy, and not for --help
    from watchdog.starting import (  # noqa: PLC0415
        manifest_text,
        mapping_text,
        settings_text,
        unseen_text,
    )

    written = _write(target, settings_text)
    settings = load_settings(target)
    with output.progress() as progress:
        progress("looking at what runs")
        usable, unavailable = providers_of(settings)
        seen = {each.name: each.machines() for each in usable}
    machines = [machine for each in seen.values() for machine in each.values]
    unseen = [text for name, each in seen.items() if (text := unseen_text(name, each))]
    roles = {each.name: each.role_text() for each in usable}
    mapping = mapping_text(machines, datetime.now(UTC))
    if json:
        output.print_json(
            {
                "schema": "spend-watchdog/init/1",
                "settings_file": str(target),
                "written": written,
                "machines_seen": len(machines),
                "roles": roles,
                "mapping": mapping,
                "slack_manifest": manifest_text(),
                "unavailable": [f"{gap.provider}: {gap.why}" for gap in unavailable],
                "unseen": unseen,
            }
        )
        return
    said = "written" if written else "was there already and is left as it is"
    typer.echo(f"Settings file {target} {said}.")
    for gap in unavailable:
        output.say(f"{gap.provider}: {gap.why}")
    for text in unseen:
        output.say(text)
    for name, role in roles.items():
        typer.echo(f"\n# The read-only role for {name}; it can change nothing.\n{role}")
    typer.echo(f"\n# mapping.yaml, from the {len(machines)} machines that were seen\n{mapping}")
    typer.echo(f"# Slack app manifest (api.slack.com/apps, from a manifest)\n{manifest_text()}")
    typer.echo("\nNext: spend-watchdog doctor, then spend-watchdog patrol")


def _write(target: Path, text_for: Callable[[str], str]) -> bool:
    """Whether the file was written now. It is created, never replaced."""
    if target.exists():
        return False
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8") as file:
            file.write(text_for(load_settings(None).ledger))
    except OSError as error:
        raise SettingsError(f"{target}: cannot be written: {error.strerror}") from None
    return True
