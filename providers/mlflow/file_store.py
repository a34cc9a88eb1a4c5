"""The runs of an MLflow file store: a folder of experiments, each a folder of runs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from policies.facts import Run
from providers.base import KnownRun, RunNotRead, RunsAsked, RunSourceError
from providers.mlflow.runs import PREFIX, TrackedRun, UnreadableRunError, run_of

META = "meta.yaml"
TRASH = ".trash"
"""Deleted experiments lie here."""
NO_RUNS = frozenset({"tags", "datasets", "traces", "models", "assessments"})
"""Folders of an experiment that are no runs."""
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class MlflowFileStore:
    prefix = PREFIX
    incremental = False
    notices = ()
    look_again = None

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def name(self) -> str:
        return f"mlflow:{self._folder.absolute()}"

    def runs(self, asked: RunsAsked) -> Iterator[Run | RunNotRead]:
        experiments = [*_folders(self._folder), *_folders(self._folder / TRASH)]
        experiments = [each for each in experiments if (each / META).is_file()]
        if not experiments:
            raise RunSourceError(
                f"{self._folder}: is no MLflow file store: no folder in it has a {META}; "
                "name the folder that is often called mlruns"
            )
        for experiment in experiments:
            yield from _of_experiment(experiment, asked)


def _of_experiment(experiment: Path, asked: RunsAsked) -> Iterator[Run | RunNotRead]:
    name: str | None = None
    try:
        name = str(_meta(experiment).get("name") or "") or None
    except UnreadableRunError as error:
        yield RunNotRead(where=str(experiment / META), field=error.field, why=str(error))
    for folder in _folders(experiment):
        if folder.name in NO_RUNS:
            continue
        known = asked.known.get(f"{PREFIX}{folder.name}")
        try:
            found = _run(folder, name, known)
        except UnreadableRunError as error:
            yield RunNotRead(where=str(folder), field=error.field, why=str(error))
            continue
        if found is not None:
            yield found


def _run(folder: Path, experiment: str | None, known: KnownRun | None) -> Run | None:
    def history(metric: str) -> list[float]:
        return [value for _, value in _points(folder / "metrics" / metric)]

    meta = _meta(folder)
    told = TrackedRun(
        run_id=str(meta.get("run_id") or meta.get("run_uuid") or folder.name),
        experiment=experiment,
        status=str(meta.get("status")),
        start_ms=meta.get("start_time"),
        end_ms=meta.get("end_time"),
        user=_text_or_none(meta.get("user_id")),
        source_name=_text_or_none(meta.get("source_name")),
        source_version=_text_or_none(meta.get("source_version")),
        params=_texts(folder / "params"),
        metrics=_last_values(folder / "metrics"),
        tags=_texts(folder / "tags"),
    )
    return run_of(told, history, known)


def _meta(folder: Path) -> Mapping[str, Any]:
    text = _read(folder / META)
    try:
        told = yaml.load(text, Loader=_LOADER)  # noqa: S506 - a safe loader
    except yaml.YAMLError as error:
        why = " ".join(str(error).split())
        raise UnreadableRunError(META, f"is not YAML: {why}") from None
    if not isinstance(told, dict):
        raise UnreadableRunError(META, "is empty, or no list of names and values")
    return told


def _texts(folder: Path) -> dict[str, str]:
    """A file a name; a name with slashes lies in folders."""
    return {name: _read(path).strip("\n") for name, path in _files(folder)}


def _last_values(folder: Path) -> dict[str, float]:
    found = {}
    for name, path in _files(folder):
        points = _points(path)
        if points:
            found[name] = max(points)[1]
    return found


def _points(path: Path) -> list[tuple[tuple[int, int], float]]:
    """Each line is `milliseconds value step`; older stores have no step."""
    points = []
    for number, line in enumerate(_read(path).splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        try:
            at_ms, value = int(words[0]), float(words[1])
            step = int(words[2]) if len(words) > 2 else 0  # noqa: PLR2004 - the third word
        except (ValueError, IndexError):
            where = path.name
            raise UnreadableRunError(
                "metrics", f"{where}:{number}: is not `milliseconds value step`"
            ) from None
        points.append(((step, at_ms), value))
    return points


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for place, _, names in os.walk(folder):
        for name in sorted(names):
            path = Path(place) / name
            yield path.relative_to(folder).as_posix(), path


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(
            each
            for each in folder.iterdir()
            if each.is_dir() and (not each.name.startswith(".") or folder.name == TRASH)
        )
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunSourceError(f"{folder}: cannot be read: {error.strerror}") from None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UnreadableRunError(path.name, "missing") from None
    except UnicodeDecodeError:
        raise UnreadableRunError(path.name, "is not UTF-8 text") from None
    except OSError as error:
        raise UnreadableRunError(path.name, f"cannot be read: {error.strerror}") from None


def _text_or_none(told: object) -> str | None:
    return str(told) if told not in (None, "", "''") else None
