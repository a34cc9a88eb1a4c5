"""The command `spend-watchdog`. Commands stand in a table and are imported when they are called.

`--help` shows the table alone, so that it starts as fast as an empty application.
"""

import importlib
import sys
from typing import Annotated, Any

import typer
import typer.core

COMMANDS: dict[str, str] = {
    "init": "Write the settings file; print the role and a mapping file. Changes no cloud.",
    "doctor": "Check the installation, credentials, permissions, GPU metrics and Slack.",
    "demo": "Run three patrols over a simulated fleet on this machine, without an account.",
    "patrol": "One pass: gather, remember, judge and tell. Observes unless told to act.",
    "costs": "What each workload cost, phase by phase.",
    "workloads": "Every workload with its verdict, score and answers.",
    "explain": "Why a workload or a machine is judged as it is.",
    "preflight": "May this workload leave home? Exit 0 mature, 3 not, 4 unknown.",
    "policy": "Policy files: check one, show the one in effect, describe the format.",
    "keep": "Keep a machine from being stopped, for a while.",
    "stop": "Stop one machine now, unless something stands against it.",
    "listen": "Answer what people press in Slack, over Socket Mode.",
    "record": "Run a command and record how it went, without an import in its code.",
    "runs": "Run histories: bring them in, list them, show one.",
    "report": "What a policy would have stopped while patrols only observed.",
    "backtest": "Replay the judgement over a run history, and say how good it was.",
    "prices": "The prices in use, with their sources and dates.",
    "agent": "On a GPU machine: tell the ledger's inbox what its GPUs do.",
    "ledger": "The store: what it holds; verify, compact, export it.",
}
"""Each command lives in `watchdog.cli.NAME` as a Typer application called `app`."""


class LazyCommand(typer.core.TyperCommand):
    """Stands in for a command in listings; imports the real one when it is asked for more."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        module = importlib.import_module(f"watchdog.cli.{self.name}")
        return typer.main.get_command(module.app).make_context(
            info_name, args, parent=parent, **extra
        )


class LazyGroup(typer.core.TyperGroup):
    def list_commands(self, ctx: Any) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        return LazyCommand(name=cmd_name, help=COMMANDS[cmd_name], callback=lambda: None)


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Finds rented GPUs that wait for a person, says what they cost and why,"
    " and leaves mature work alone.",
)


def _show_version(asked: bool) -> None:  # noqa: FBT001 - typer passes the flag
    if asked:
        from importlib.metadata import version  # noqa: PLC0415 - not needed for --help

        typer.echo(version("cloud-spend-watchdog"))
        raise typer.Exit


@app.callback()
def main(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    del version


def run() -> None:
    """The entry point: a mistake of the user's is one line and an exit code, never a traceback."""
    try:
        app()
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(1) from None
    except Exception as error:
        code = getattr(error, "exit_code", None)
        if not isinstance(code, int):
            raise
        from watchdog.cli import output  # noqa: PLC0415 - not for --help

        output.notice(f"spend-watchdog: {error}")
        raise SystemExit(code) from None
