"""The runs of an MLflow tracking server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from policies.facts import Run
from providers.base import RunNotRead, RunsAsked
from providers.chunks import chunks
from providers.mlflow.rest import MlflowApi
from providers.mlflow.runs import PREFIX, TrackedRun, UnreadableRunError, run_of

EXPERIMENTS_AT_ONCE = 100
RUNS_AT_ONCE = 100

Raw = Mapping[str, Any]


class MlflowServer:
    prefix = PREFIX
    incremental = True
    notices = ()
    look_again = timedelta(days=30)
    """MLflow keeps no time of change: a tag that was set later shows in no condition."""

    def __init__(self, api: MlflowApi) -> None:
        self._api = api

    @property
    def name(self) -> str:
        return f"mlflow:{self._api.url}"

    def runs(self, asked: RunsAsked) -> Iterator[Run | RunNotRead]:
        names = {str(each["experiment_id"]): each.get("name") for each in self._api.experiments()}
        seen: set[str] = set()
        for raw in self._found(list(names), asked):
            run_id = str(_info(raw).get("run_id") or _info(raw).get("run_uuid") or "")
            if run_id in seen:
                continue
            seen.add(run_id)
            found = self._run(raw, run_id, names, asked)
            if found is not None:
                yield found

    def _found(self, experiments: list[str], asked: RunsAsked) -> Iterator[Raw]:
        """Runs that began or ended since, and those that are not known to have ended."""
        for some in chunks(experiments, EXPERIMENTS_AT_ONCE):
            if asked.since is None:
                yield from self._api.runs(some, "")
                continue
            since_ms = _ms(asked.since)
            yield from self._api.runs(some, f"attributes.start_time >= {since_ms}")
            yield from self._api.runs(some, f"attributes.end_time >= {since_ms}")
            running = [run_id for run_id, known in asked.known.items() if known.running]
            for ids in chunks(sorted(running), RUNS_AT_ONCE):
                listed = ", ".join(f"'{each.removeprefix(PREFIX)}'" for each in ids)
                yield from self._api.runs(some, f"attributes.run_id IN ({listed})")

    def _run(
        self, raw: Raw, run_id: str, experiments: Mapping[str, str | None], asked: RunsAsked
    ) -> Run | RunNotRead | None:
        def history(metric: str) -> list[float]:
            points = self._api.history(run_id, metric)
            return [value for point in points if (value := _number(point.get("value"))) is not None]

        try:
            told = _tracked(raw, run_id, experiments)
            return run_of(told, history, asked.known.get(f"{PREFIX}{run_id}"))
        except UnreadableRunError as error:
            return RunNotRead(where=f"{self.name}: run {run_id}", field=error.field, why=str(error))


def _tracked(raw: Raw, run_id: str, experiments: Mapping[str, str | None]) -> TrackedRun:
    info = _info(raw)
    data = raw.get("data") or {}
    if not run_id:
        raise UnreadableRunError("run_id", "missing")
    return TrackedRun(
        run_id=run_id,
        experiment=experiments.get(str(info.get("experiment_id"))),
        status=str(info.get("status")),
        start_ms=info.get("start_time"),
        end_ms=info.get("end_time"),
        user=info.get("user_id"),
        params=_pairs(data.get("params")),
        metrics=_numbers(data.get("metrics")),
        tags=_pairs(data.get("tags")),
        datasets=_datasets(raw.get("inputs") or {}),
    )


def _info(raw: Raw) -> Raw:
    found = raw.get("info")
    return found if isinstance(found, dict) else {}


def _pairs(told: Any) -> dict[str, str]:
    return {str(each["key"]): str(each.get("value", "")) for each in told or () if "key" in each}


def _numbers(told: Any) -> dict[str, float]:
    values = {str(each["key"]): _number(each.get("value")) for each in told or () if "key" in each}
    return {key: value for key, value in values.items() if value is not None}


def _number(told: Any) -> float | None:
    """JSON has no NaN: MLflow writes it as a text."""
    try:
        return float(told)
    except (TypeError, ValueError):
        return None


def _datasets(inputs: Raw) -> tuple[str, ...]:
    found = (each.get("dataset") or {} for each in inputs.get("dataset_inputs") or ())
    return tuple(f"{each.get('name')}@{each['digest']}" for each in found if each.get("digest"))


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
