"""`spend-watchdog prices`: what the figures rest on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from watchdog.cli import options, output, reading
from watchdog.settings import load_settings

if TYPE_CHECKING:
    from watchdog.refreshing_prices import Refresh

app = typer.Typer(no_args_is_help=True, help="The prices in use, with their sources and dates.")


FIRST = ("machine_type", "region", "hourly_usd", "purchase", "as_of", "provider", "source")
"""What stays on a narrow terminal."""
FIRST_REFRESHED = ("machine_type", "region", "hourly_usd", "was_usd", "as_of", "why")
FINE, FAILED, UNSEEN = 0, 1, 4


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
    config: options.Config = None,
    ledger: options.LedgerUrl = None,
    json: options.Json = False,
    format: options.Output = options.Format.TABLE,  # noqa: A002 - the option's name
) -> None:
    """Dollars an hour by machine type and region; what is not there is unknown, not zero.

    What `prices refresh` brought goes before the offline catalogue.
    """
    from watchdog.frames import as_rows  # noqa: PLC0415 - heavy, and not for --help
    from watchdog.price_list import egress_rows, price_frame, source_rows  # noqa: PLC0415

    store = reading.opened(config, ledger)
    refreshed = store.rows("prices") if store.exists() else []
    frame = price_frame(
        provider=provider, region=region, machine_type=machine_type, refreshed=refreshed
    )
    chosen = options.chosen(format, json=json)
    if chosen is options.Format.JSON:
        egress = egress_rows(provider=provider, region=region)
        told = {"currency": "USD", "sources": source_rows(refreshed), "prices": as_rows(frame)}
        output.print_json({**told, "egress": egress})
    elif chosen is options.Format.CSV:
        output.print_csv(frame)
    elif len(frame):
        output.show_frame(frame, title="Prices in USD an hour", first=FIRST)
    else:
        output.notice("no price matches: leave out an option to see more")


@app.command()
def refresh(
    *,
    machine_type: Annotated[
        list[str] | None,
        typer.Option(help="Also this machine type; may be repeated.", show_default=False),
    ] = None,
    region: Annotated[
        list[str] | None,
        typer.Option(help="Also this region; may be repeated.", show_default=False),
    ] = None,
    provider: Annotated[
        list[str] | None,
        typer.Option(help="Ask this provider; may be repeated.", show_default=False),
    ] = None,
    config: options.Config = None,
    ledger: options.LedgerUrl = None,
    json: options.Json = False,
    format: options.Output = options.Format.TABLE,  # noqa: A002 - the option's name
) -> None:
    """Ask the cloud's own price list, and keep a copy in the ledger for patrols to use.

    Asks for what patrols have seen and what the copy holds already. Hours that were metered keep
    the price that they had. Exit codes: 0 fine, 1 no price could be read, 2 nothing to ask for,
    4 some could not be read.
    """
    from watchdog.composition import open_ledger, providers_of  # noqa: PLC0415 - heavy
    from watchdog.refreshing_prices import refresh_prices  # noqa: PLC0415

    settings = load_settings(config, ledger=ledger, providers=tuple(provider) if provider else None)
    usable, unavailable = providers_of(settings)
    with output.progress() as progress:
        done = refresh_prices(
            open_ledger(settings),
            usable,
            machine_types=machine_type or (),
            regions=region or (),
            progress=progress,
            now=datetime.now(UTC),
        )
    gaps = (*unavailable, *done.gaps)
    _print(done, options.chosen(format, json=json))
    for gap in gaps:
        output.notice(f"{gap.provider}: {gap.what}: {gap.why}")
    if not done.prices:
        if not gaps:
            output.notice(
                "no provider here has a price list that can be asked: name --provider aws"
            )
        raise typer.Exit(FAILED)
    raise typer.Exit(UNSEEN if gaps else FINE)


def _print(done: Refresh, chosen: options.Format) -> None:
    from watchdog.frames import as_rows  # noqa: PLC0415 - heavy, and not for --help
    from watchdog.price_list import refreshed_frame  # noqa: PLC0415

    frame = refreshed_frame(done.prices)
    if chosen is options.Format.JSON:
        told = {
            "currency": "USD",
            "prices": as_rows(frame),
            "gaps": [{"what": gap.what, "why": gap.why, "region": gap.region} for gap in done.gaps],
            "api_calls": dict(sorted(done.api_calls.items())),
        }
        output.print_json(told)
        return
    if chosen is options.Format.CSV:
        output.print_csv(frame)
        return
    if len(frame):
        output.show_frame(frame, title="Prices in USD an hour", first=FIRST_REFRESHED)
    for each in done.prices:
        if each.changed:
            price, was = each.price, each.was_usd
            place = f"{price.machine_type} in {price.region}"
            output.say(f"changed: {place}: {was:f} → {_usd(price.hourly_usd)} USD an hour")
    calls = sum(done.api_calls.values())
    output.say(f"{len(done.prices)} prices by {calls} calls")


def _usd(amount: object) -> str:
    return "unknown" if amount is None else f"{amount:f}"
