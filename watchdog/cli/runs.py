"""`spend-watchdog runs`: run histories."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from watchdog.cli import options, output, reading
from watchdog.settings import load_settings

if TYPE_CHECKING:
    from watchdog.ledger.store import Ledger
    from watchdog.runs.files import Imported
    from watchdog.runs.files import Progress as BytesRead
    from watchdog.runs.sync import Synced

app = typer.Typer(no_args_is_help=True, help="Run histories: bring them in, list them, show one.")

COLUMNS = ("run_id", "workload", "started_at", "ended_at", "outcome", "cause", "gpus", "told_by")
FIRST = ("workload", "run_id", "started_at", "outcome", "cause")
"""What stays on a narrow terminal."""


@app.command(name="import")
def import_(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="CSV, JSONL or Parquet.")],
    *,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse a whole file for one bad row.")
    ] = False,
    map_: Annotated[
        Path | None,
        typer.Option(
            "--map",
            metavar="MAP.toml",
            help="What the columns of another system's CSV or JSON mean.",
            show_default=False,
        ),
    ] = None,
    config: options.Config = None,
    ledger: options.LedgerUrl = None,
    json: options.Json = False,
) -> None:
    """Bring run histories into the ledger. The same file twice adds nothing.

    Required columns: run_id, workload, started_at, outcome; with --map any others. Each bad row
    is one line `FILE:LINE: field: why`; good rows enter and the exit code is 4, or with --strict
    nothing of that file enters and it is 1.
    """
    from watchdog.composition import open_ledger  # noqa: PLC0415 - heavy, and not for --help
    from watchdog.runs.column_map import load_column_map  # noqa: PLC0415
    from watchdog.runs.files import exit_code_of, import_files  # noqa: PLC0415

    columns = None if map_ is None else load_column_map(map_)
    store = open_ledger(load_settings(config, ledger=ledger))
    now = datetime.now(UTC)
    with _bytes_read() as progress:
        done = import_files(
            store, files, now=now, strict=strict, columns=columns, progress=progress
        )
    _tell(done, json=json)
    if exit_code_of(done):
        raise typer.Exit(exit_code_of(done))


@app.command()
def sync(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="mlflow, http(s)://HOST:PORT of an MLflow server, a folder with an MLflow file"
            " store, slurm, a file of `sacct -P` or `sacct --json`, or sagemaker.",
        ),
    ],
    *,
    all_: Annotated[
        bool, typer.Option("--all", help="Read everything again, not only what changed.")
    ] = False,
    since: Annotated[
        datetime | None,
        typer.Option(
            parser=options.moment,
            metavar="TIME",
            help="What changed since: a date, a time, or how long ago (90d).",
            show_default=False,
        ),
    ] = None,
    time_zone: Annotated[
        str | None,
        typer.Option(
            metavar="ZONE",
            help="Of the times in a file of sacct: America/Costa_Rica. Default: UTC.",
            show_default=False,
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Fields of a file of sacct without a header, with commas between; or xdmod.",
            show_default=False,
        ),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(help="Where a file of sacct does not name it.", show_default=False),
    ] = None,
    config: options.Config = None,
    ledger: options.LedgerUrl = None,
    json: options.Json = False,
) -> None:
    """Bring in the runs that MLflow, Slurm or SageMaker know. Repeating it adds nothing.

    The first time everything is read, later what changed; a run that changed enters as a newer
    revision. MLflow's own variables (MLFLOW_TRACKING_URI, _USERNAME, _PASSWORD, _TOKEN) and those
    of Slurm and AWS are honoured. A run that cannot be read is one line `WHERE: field: why` and
    exit code 4; a source that cannot be read to its end is exit code 1.
    """
    import os  # noqa: PLC0415 - not for --help

    from watchdog.composition import open_ledger  # noqa: PLC0415 - heavy, and not for --help
    from watchdog.runs.sources import SacctOptions, sources_of  # noqa: PLC0415
    from watchdog.runs.sync import exit_code_of  # noqa: PLC0415
    from watchdog.runs.sync import sync as read  # noqa: PLC0415

    settings = load_settings(config, ledger=ledger)
    sacct = SacctOptions(time_zone=time_zone, columns=columns, cluster=cluster)
    with output.progress() as progress:
        sources = sources_of(source, settings, environ=os.environ, sacct=sacct, progress=progress)
        store = open_ledger(settings)
        now = datetime.now(UTC)
        done = [
            read(store, each, now=now, since=since, whole=all_, progress=progress)
            for each in sources
        ]
    _tell_synced(done, json=json)
    if exit_code_of(done):
        raise typer.Exit(exit_code_of(done))


@app.command(name="list")
def list_(
    *,
    workload: Annotated[
        str | None, typer.Option(help="This workload only.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 50,
    config: options.Config = None,
    ledger: options.LedgerUrl = None,
    json: options.Json = False,
    format: options.Output = options.Format.TABLE,  # noqa: A002 - the option's name
) -> None:
    """The newest runs that the ledger knows. Folds in what waits in its inbox."""
    from watchdog.frames import as_rows  # noqa: PLC0415 - heavy, and not for --help

    store = _folded(config, ledger)
    frame = store.query("runs")
    if workload is not None:
        frame = frame[frame["workload"] == workload]
    frame = frame.sort_values("started_at", ascending=False).head(limit)
    chosen = options.chosen(format, json=json)
    if chosen is options.Format.JSON:
        output.print_json({"schema": "spend-watchdog/runs/1", "rows": as_rows(frame)})
    elif chosen is options.Format.CSV:
        output.print_csv(frame)
    elif len(frame):
        output.show_frame(frame[list(COLUMNS)], title=f"Runs, the newest {len(frame)}", first=FIRST)
    if not len(frame):
        remedy = "`spend-watchdog runs import FILE` brings some in"
        output.notice(reading.empty_state(store, "no run is known", remedy))


def _folded(config: Path | None, ledger: str | None) -> Ledger:
    """With what waits here or in the inbox. Only a ledger that is there is written to."""
    from watchdog.composition import open_ledger  # noqa: PLC0415 - heavy, and not for --help
    from watchdog.recording.posting import catch_up  # noqa: PLC0415

    store = reading.opened(config, ledger)
    catch_up(store.url)
    if store.exists():
        store = open_ledger(load_settings(config, ledger=ledger))
        for problem in store.fold_inbox().problems:
            output.notice(problem)
    return store


@app.command()
def show(
    run_id: Annotated[str, typer.Argument(metavar="RUN_ID", help="Its id, or how it begins.")],
    *,
    config: options.Config = None,
    ledger: options.LedgerUrl = None,
    json: options.Json = False,
) -> None:
    """All that the ledger knows of one run. Folds in what waits in its inbox."""
    from watchdog.runs.showing import shown  # noqa: PLC0415 - heavy, and not for --help

    store = _folded(config, ledger)
    found = shown(store, run_id)
    if json:
        output.print_json({"schema": "spend-watchdog/run/1", **found})
        return
    for name, value in found.items():
        if value is not None and name not in {"told", "differ"}:
            typer.echo(f"{name}: {value}")
    _show_sources(found)


def _show_sources(found: Mapping[str, Any]) -> None:
    """Who told of the attempt, and what they disagree on."""
    for row in found.get("told", ()):
        way = f", the same by {row['merged_by']}" if "merged_by" in row else ""
        typer.echo(f"told by {row.get('source')}: {row['run_id']}{way}")
    for name, said in found.get("differ", {}).items():
        values = ", ".join(f"{source} {value}" for source, value in said.items())
        typer.echo(f"they differ in {name}: {values}")


@app.command()
def split(
    run_id: Annotated[str, typer.Argument(metavar="RUN_ID", help="Its id, or how it begins.")],
    *,
    undo: Annotated[bool, typer.Option("--undo", help="Merge it again where it fits.")] = False,
    config: options.Config = None,
    ledger: options.LedgerUrl = None,
    json: options.Json = False,
) -> None:
    """Say that a run is an attempt of its own, not one that another source tells of, too.

    `runs show` names the runs that were merged. Nothing that was told is lost, and --undo takes it
    back. An episode that is split off counts, whatever recorded runs explain it.
    """
    from watchdog.runs.splitting import split as split_off  # noqa: PLC0415 - heavy

    store = _folded(config, ledger)
    name = split_off(store, run_id, apart=not undo, now=datetime.now(UTC))
    if json:
        output.print_json({"schema": "spend-watchdog/split/1", "run_id": name, "apart": not undo})
        return
    typer.echo(f"{name}: {'merged where it fits' if undo else 'an attempt of its own'}")


def _tell(done: Sequence[Imported], *, json: bool) -> None:
    """Bad rows and notices on standard error; what became of each file where JSON is not asked."""
    for each in done:
        for problem in each.problems:
            output.notice(str(problem))
        for text in each.notices:
            output.notice(text)
        if each.problem_count > len(each.problems):
            output.notice(f"{each.file}: {each.problem_count - len(each.problems)} more problems")
        if each.refused is not None:
            output.notice(each.refused)
        if not json:
            typer.echo(
                f"{each.file}: {each.rows} rows, {each.added} added, {each.unchanged} known"
                f" already, {each.bad} bad"
            )
    if json:
        rows = [{**asdict(each), "problems": [asdict(p) for p in each.problems]} for each in done]
        output.print_json({"schema": "spend-watchdog/import/1", "files": rows})


def _tell_synced(done: Sequence[Synced], *, json: bool) -> None:
    for each in done:
        for problem in each.problems:
            output.notice(str(problem))
        if each.bad > len(each.problems):
            output.notice(f"{each.source}: {each.bad - len(each.problems)} more problems")
        for text in (*each.notices, each.failed):
            if text is not None:
                output.notice(text)
        if not json:
            output.say(
                f"{each.source}: {each.read} runs read, {each.added} added, {each.unchanged} known"
                f" already, {each.bad} bad"
            )
    if json:
        output.print_json({"schema": "spend-watchdog/sync/1", "sources": [_plain(d) for d in done]})


def _plain(done: Synced) -> dict[str, object]:
    from watchdog.json_values import moment  # noqa: PLC0415 - not for --help

    return {**asdict(done), "since": moment(done.since)}


@contextmanager
def _bytes_read() -> Iterator[BytesRead]:
    """A bar on standard error, where a person looks at it."""
    if not sys.stderr.isatty():
        yield lambda read, total: None  # noqa: ARG005 - nobody watches
        return
    from rich.progress import Progress  # noqa: PLC0415 - not needed in a pipe

    with Progress(console=output.error_console(), transient=True) as bar:
        task = bar.add_task("reading")
        yield lambda read, total: bar.update(task, completed=read, total=total)
