"""`spend-watchdog prices`: what the figures rest on."""

from typing import Annotated

import typer

from watchdog.cli import options, output

app = typer.Typer(no_args_is_help=True, help="The prices in use, with their sources and dates.")


FIRST = ("machine_type", "region", "hourly_usd", "purchase", "as_of", "provider", "source")
"""What stays on a narrow terminal."""


@app.callback()
def prices() -> None:
    """The prices in use, with their sources and dates."""


@app.command()
def show(
    machine_type: Annotated[
        str | None, typer.Argument(help="A machine type, or its beginning.", show_default=False)
    ] = None,
    *,
    provider: Annotated[
        str | None, typer.Option(help="This provider only.", show_default=False)
    ] = None,
    region: Annotated[
        str | None, typer.Option(help="This region only.", show_default=False)
    ] = None,
    json: options.Json = False,
    format: options.Output = options.Format.TABLE,  # noqa: A002 - the option's name
) -> None:
    """Dollars an hour by machine type and region; what is not there is unknown, not zero."""
    from watchdog.frames import as_rows  # noqa: PLC0415 - heavy, and not for --help
    from watchdog.price_list import egress_rows, price_frame, source_rows  # noqa: PLC0415

    frame = price_frame(provider=provider, region=region, machine_type=machine_type)
    chosen = options.chosen(format, json=json)
    if chosen is options.Format.JSON:
        egress = egress_rows(provider=provider, region=region)
        told = {"currency": "USD", "sources": source_rows(), "prices": as_rows(frame)}
        output.print_json({**told, "egress": egress})
    elif chosen is options.Format.CSV:
        output.print_csv(frame)
    elif len(frame):
        output.show_frame(frame, title="Prices in USD an hour", first=FIRST)
    else:
        output.notice("no price matches: leave out an option to see more")
