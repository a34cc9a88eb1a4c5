"""`spend-watchdog listen`: answers what people press in Slack."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from datetime import UTC, datetime
from types import FrameType
from typing import TYPE_CHECKING, Any

import typer

from watchdog.cli import options, output
from watchdog.settings import load_settings

if TYPE_CHECKING:
    from watchdog.answering import Answering

app = typer.Typer()


@app.command()
def listen(
    *,
    config: options.Config = None,
    ledger: options.LedgerUrl = None,
    json: options.Json = False,
) -> None:
    """Answer the buttons under incidents in Slack, over Socket Mode, until it is interrupted.

    Needs slack.token and slack.app_token. Nothing need be reachable from outside, and a connection
    that ends is opened again. --json prints a line for each press. Exit codes: 0 ended by Ctrl-C or
    SIGTERM, 1 Slack refused the connection, 2 settings wrong.
    """
    from watchdog.alerts.slack_settings import api_base  # noqa: PLC0415 - heavy, not for --help
    from watchdog.alerts.socket_mode import SocketListener, app_token_of  # noqa: PLC0415
    from watchdog.composition import answering_of  # noqa: PLC0415

    settings = load_settings(config, ledger=ledger)
    told = settings.slack.app_token
    token = app_token_of(None if told is None else told.get_secret_value())
    answering = answering_of(settings)
    over = _until_interrupted()
    listener = SocketListener(token, output.notice, api_base(settings.slack.api_url))
    listener.run(lambda payload: _answered(answering, payload, json=json), ended=lambda: bool(over))


def _until_interrupted() -> list[int]:
    """Empty, until a signal asks to end: what is being answered is still answered."""
    over: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        del frame
        over.append(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    return over


def _answered(answering: Answering, payload: Mapping[str, Any], *, json: bool) -> None:
    """One press that cannot be answered must not end the others."""
    now = datetime.now(UTC)
    try:
        told = answering.answer(payload, now)
    except Exception as error:  # noqa: BLE001 - told, and the next press is answered
        told = f"a press could not be answered: {type(error).__name__}: {error}"
    if json:
        from watchdog.json_values import json_text  # noqa: PLC0415 - not for --help

        typer.echo(json_text({"at": f"{now:%Y-%m-%dT%H:%M:%SZ}", "told": told}))
    else:
        output.say(f"{now:%Y-%m-%d %H:%M:%S} UTC  {told}")
