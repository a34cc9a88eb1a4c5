"""`spend-watchdog policy`: is a policy file right, which one is in effect, how is one written."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from watchdog.cli import options, output
from watchdog.cli.completing import policy_names
from watchdog.settings import load_settings

app = typer.Typer(
    no_args_is_help=True, help="Policy files: check one, show the one in effect, their format."
)

WRONG = 2


@app.callback()
def policy() -> None:
    """Policy files: check one, show the one in effect, describe the format."""


@app.command()
def check(
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="Policy file, or a pack.", autocompletion=policy_names),
    ],
    *,
    json: options.Json = False,
) -> None:
    """Say what is wrong with a policy file, line by line, and what is right and yet doubtful.

    Each mistake is one line, FILE:LINE:COLUMN: what; how to fix it. Exit codes: 0 fine, warnings
    or not, 2 wrong.
    """
    from policies.policy_check import checked_policy  # noqa: PLC0415 - heavy, and not for --help
    from policies.rules import PolicyError  # noqa: PLC0415
    from watchdog.composition import policy_text  # noqa: PLC0415
    from watchdog.policy_shown import check_json, fine_told, wrong_json  # noqa: PLC0415

    text, origin = policy_text(file)
    try:
        found, doubts = checked_policy(text, origin, datetime.now(UTC))
    except PolicyError as error:
        if json:
            output.print_json(wrong_json(origin, error))
        else:
            output.notice(str(error))
        raise typer.Exit(WRONG) from None
    if json:
        output.print_json(check_json(found, doubts))
        return
    output.say(fine_told(found))
    for each in doubts:
        place = f"{origin}:{each.place.line}:{each.place.column}"
        output.say(f"{place}: warning: {each.message}")


@app.command()
def show(
    *, policy: options.PolicyName = None, config: options.Config = None, json: options.Json = False
) -> None:
    """Show the policy in effect: where it comes from, its mode, its rules in order, its limits."""
    from watchdog.composition import policy_of  # noqa: PLC0415 - heavy, and not for --help
    from watchdog.policy_shown import (  # noqa: PLC0415
        policy_json,
        policy_lines,
        source_of,
    )

    settings = load_settings(config, policy=policy)
    found = policy_of(settings)
    source = "the option --policy" if policy is not None else source_of(settings)
    if json:
        output.print_json(policy_json(found, settings.policy, source))
        return
    output.say_wrapped(policy_lines(found, settings.policy, source, datetime.now(UTC)))


@app.command()
def schema(*, json: options.Json = False) -> None:
    """Print the JSON Schema of policy files, for editors. With --json or without: it is JSON."""
    from policies.policy_schema import json_schema  # noqa: PLC0415 - heavy, and not for --help

    del json
    output.print_json(json_schema())
