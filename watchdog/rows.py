"""Values become rows of the ledger, and rows become values again."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from policies.facts import (
    READING_COLUMNS,
    Accelerator,
    Attribution,
    Gap,
    Machine,
    MachineState,
    Price,
    Purchase,
    Reading,
    Run,
    RunCause,
    RunOutcome,
    StopTerms,
    Window,
    WorkloadKind,
)
from watchdog.gather import Watched
from watchdog.json_values import moment

if TYPE_CHECKING:
    import pandas as pd

Row = Mapping[str, object]
SECONDS_A_DAY = 86_400


def machine_row(machine: Machine, observed_at: datetime) -> dict[str, object]:
    price, terms = machine.price, machine.stop_terms
    return {
        "observed_at": observed_at,
        "id": machine.id,
        "provider": machine.provider,
        "account": machine.account,
        "region": machine.region,
        "zone": machine.zone,
        "name": machine.name,
        "state": machine.state.value,
        "metered": machine.metered,
        "machine_type": machine.machine_type,
        "gpus": machine.gpus,
        "gpu_model": machine.gpu_model,
        "gpu_memory_mib": machine.gpu_memory_mib,
        "purchase": machine.purchase.value,
        "first_launched_at": machine.first_launched_at,
        "started_at": machine.started_at,
        "stopped_at": machine.stopped_at,
        "machine_group": machine.group,
        "boot": machine.boot,
        "hourly_usd": price.hourly_usd,
        "saves_usd": price.saves_usd,
        "stopped_hourly_usd": price.stopped_hourly_usd,
        "price_basis": price.basis,
        "price_source": price.source,
        "price_as_of": price.as_of,
        "price_why": price.why,
        "tags_json": json.dumps(dict(sorted(machine.tags.items()))),
        "stop_terms_json": json.dumps({f.name: getattr(terms, f.name) for f in fields(terms)}),
        "operating_system": machine.operating_system,
        "controller": terms.controller,
    }


def machine_from(row: Row) -> Machine:
    """A machine of the table `machines`, as far as that tells. Of several kinds of GPU on it the
    table has the names, and how many all of them are.
    """
    terms: Any = json.loads(str(row["stop_terms_json"] or "{}"))
    lists = {name: tuple(terms.get(name, ())) for name in ("loses", "empties")}
    values = {f.name: row[f.name] for f in fields(Machine) if f.name in row}
    values |= {
        "state": MachineState(str(row["state"] or "unknown")),
        "purchase": Purchase(str(row["purchase"] or "unknown")),
        "machine_type": str(row["machine_type"] or ""),
        "group": row["machine_group"] or row["id"],
        "accelerators": _accelerators(row),
        "tags": json.loads(str(row["tags_json"] or "{}")),
        "stop_terms": StopTerms(**({"can_stop": None, "why": "not known"} | terms | lists)),
        "price": Price(
            hourly_usd=row["hourly_usd"],  # type: ignore[arg-type]
            basis=str(row["price_basis"] or "unknown"),
            source=None if row["price_source"] is None else str(row["price_source"]),
            as_of=None if row["price_as_of"] is None else str(row["price_as_of"]),
            why=None if row["price_why"] is None else str(row["price_why"]),
            saves_usd=row["saves_usd"],  # type: ignore[arg-type]
            stopped_hourly_usd=row["stopped_hourly_usd"],  # type: ignore[arg-type]
        ),
    }
    return Machine(**values)  # type: ignore[arg-type]


def _accelerators(row: Row) -> tuple[Accelerator, ...]:
    if row["gpu_model"] is None or row["gpus"] is None:
        return ()
    models = str(row["gpu_model"]).split(" + ")
    counts = [int(str(row["gpus"])) - len(models) + 1, *[1] * (len(models) - 1)]
    return tuple(
        Accelerator(model=model, count=count, kind="gpu", manufacturer=None, memory_mib=None)
        for model, count in zip(models, counts, strict=True)
    )


def changed(rows: Sequence[dict[str, object]], before: Iterable[Row]) -> list[dict[str, object]]:
    """The machine rows that say something new; `before` holds the newest row of each machine."""
    known = {row["id"]: {**row, "observed_at": None} for row in before}
    return [row for row in rows if {**row, "observed_at": None} != known.get(row["id"])]


def readings_frame(
    readings: Sequence[Reading], *, since: Mapping[str, datetime], observed_at: datetime
) -> pd.DataFrame:
    """One row a measured interval, built by columns. `since`: by resource, what is stored already.

    An interval in which nothing was measured has no row: a row would read as a number.
    """
    import pandas as pd  # noqa: PLC0415 - the command line must start without it

    alike: dict[tuple[datetime, int, int], list[Reading]] = defaultdict(list)
    for reading in readings:
        alike[reading.started_at, reading.period_s, reading.intervals].append(reading)
    frames = [_frame_of(several, since) for several in alike.values()]
    if not any(len(frame) for frame in frames):
        return pd.DataFrame()
    frame = pd.concat(frames, ignore_index=True)
    frame["coverage"] = frame["utilisation_max_pct"].notna().astype(float)
    frame["workload"] = None
    frame["observed_at"] = observed_at
    return frame


def _frame_of(readings: Sequence[Reading], since: Mapping[str, datetime]) -> pd.DataFrame:
    """The rows of readings that share one grid: one matrix a column, one line a reading."""
    import numpy as np  # noqa: PLC0415
    import pandas as pd  # noqa: PLC0415

    first = readings[0]
    starts = int(first.started_at.timestamp()) + first.period_s * np.arange(first.intervals)
    stored = [since[r.resource].timestamp() if r.resource in since else 0.0 for r in readings]
    keep = starts[None, :] >= np.array(stored)[:, None]
    values = {name: _matrix(np, readings, name) for name in READING_COLUMNS}
    keep &= ~np.logical_and.reduce([np.isnan(matrix) for matrix in values.values()])
    lines, places = np.nonzero(keep)
    seconds = starts[places]
    days, day_of = np.unique(seconds // SECONDS_A_DAY, return_inverse=True)
    dates = [f"{datetime.fromtimestamp(d * SECONDS_A_DAY, tz=UTC):%Y-%m-%d}" for d in days.tolist()]
    return pd.DataFrame(
        {
            "resource": _repeated(np, [reading.resource for reading in readings], lines),
            "gpu": _repeated(np, [reading.gpu for reading in readings], lines),
            "source": _repeated(np, [reading.source for reading in readings], lines),
            **{name: matrix[keep] for name, matrix in values.items()},
            "started_at": pd.to_datetime(seconds, unit="s", utc=True),
            "ended_at": pd.to_datetime(seconds + first.period_s, unit="s", utc=True),
            "date": _repeated(np, dates, day_of),
        }
    )


def _matrix(np: Any, readings: Sequence[Reading], name: str) -> Any:
    missing = np.full(readings[0].intervals, np.nan)
    columns = [getattr(reading, name) for reading in readings]
    return np.vstack([missing if c is None else np.frombuffer(c) for c in columns])


def _repeated(np: Any, labels: Sequence[str | None], lines: Any) -> Any:
    return np.array(labels, dtype=object)[lines]


def attribution_rows(
    attributions: Iterable[Attribution], observed_at: datetime
) -> list[dict[str, object]]:
    return [
        {
            "resource": each.resource,
            "gpu": each.gpu,
            "started_at": each.started_at,
            "ended_at": each.ended_at,
            "workload": each.workload,
            "workload_group": each.group,
            "owner": each.owner,
            "kind": each.kind.value,
            "data_class": each.data_class,
            "share": each.share,
            "rule": each.rule,
            "observed_at": observed_at,
        }
        for each in attributions
    ]


def attribution_from(row: Row) -> Attribution:
    """An attribution of the ledger's view `attributions`."""
    values = {f.name: row[f.name] for f in fields(Attribution) if f.name in row}
    values["group"] = row["workload_group"]
    values["kind"] = WorkloadKind(str(row["kind"] or "unknown"))
    return Attribution(**values)  # type: ignore[arg-type]


def changed_attributions(
    told: Iterable[dict[str, object]], before: Iterable[Row]
) -> list[dict[str, object]]:
    """The sets that say something new. A resource's set is written whole, or not at all."""
    known, news = _sets(before), list(told)
    fresh = _sets(news)
    return [row for row in news if fresh[row["resource"]] != known.get(row["resource"])]


def _sets(several: Iterable[Row]) -> dict[object, set[tuple[object, ...]]]:
    sets: dict[object, set[tuple[object, ...]]] = {}
    for row in several:
        told = tuple(value for name, value in sorted(row.items()) if name != "observed_at")
        sets.setdefault(row["resource"], set()).add(told)
    return sets


def moment_of(value: object) -> datetime:
    """A cell that must hold a time."""
    if not isinstance(value, datetime):
        raise TypeError(f"{value!r} is no time")
    return value


def run_from(row: Row) -> Run:
    """A run of the ledger's view `runs`."""
    values = {f.name: row[f.name] for f in fields(Run) if f.name in row}
    values["group"] = row["workload_group"]
    values["outcome"] = RunOutcome(str(row["outcome"]))
    values["kind"] = WorkloadKind(str(row["kind"] or "unknown"))
    values["cause"] = None if row["cause"] is None else RunCause(str(row["cause"]))
    return Run(**values)  # type: ignore[arg-type]


def patrol_row(
    *,
    patrol_id: str,
    at: datetime,
    ended_at: datetime,
    mode: str,
    watched: Sequence[Watched],
    gaps: Sequence[Gap],
    api_calls: Mapping[str, int],
    usd: Decimal | None,
    version: str,
) -> dict[str, object]:
    scopes = [
        {
            "provider": each.scope.provider,
            "account": each.scope.account,
            "region": each.scope.region,
            "watched_from": moment(each.windows.started_at),
            "watched_until": moment(each.windows.fine.ended_at),
            **_owed(each.history_owed),
        }
        for each in watched
    ]
    return {
        "patrol_id": patrol_id,
        "at": at,
        "started_at": at,
        "ended_at": ended_at,
        "mode": mode,
        "scopes_json": json.dumps(scopes),
        "gaps_json": json.dumps([{f.name: getattr(g, f.name) for f in fields(g)} for g in gaps]),
        "api_calls_json": json.dumps(dict(sorted(api_calls.items()))),
        "usd": usd,
        "seconds": (ended_at - at).total_seconds(),
        "version": version,
    }


def _owed(window: Window | None) -> dict[str, object]:
    """Nothing where nothing is owed; rows of earlier versions have neither."""
    if window is None:
        return {}
    return {
        "history_owed_from": moment(window.started_at),
        "history_owed_until": moment(window.ended_at),
    }


def event_row(
    *,
    subject: str,
    n: str,
    at: datetime,
    kind: str,
    machine: Machine | None,
    detail: Mapping[str, object],
    observed_at: datetime,
) -> dict[str, object]:
    return {
        "subject": subject,
        "n": n,
        "at": at,
        "kind": kind,
        "machine": None if machine is None else machine.id,
        "boot": None if machine is None else machine.boot,
        "detail_json": json.dumps(detail, default=str),
        "observed_at": observed_at,
    }
