"""The mapping file: which machines serve which workload, for teams that have not tagged yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from policies.facts import WorkloadKind
from policies.marked_yaml import MarkedYaml, YamlError, read_yaml

SCHEMA = "spend-watchdog/mapping/1"


class MappingError(Exception):
    """What is wrong with a mapping file: one line a mistake, `FILE:LINE:COLUMN: key: what`."""

    exit_code = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry: globs that must all match, and what they then say."""

    line: int
    workload: str
    globs: Mapping[str, str]
    """`name`, `account`, `provider`, `region`, `owner` → glob."""
    tags: Mapping[str, str]
    """Tag → glob."""
    group: str | None
    kind: WorkloadKind
    owner: str | None
    data_class: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadMapping:
    origin: str
    entries: tuple[Entry, ...]


NO_MAPPING = WorkloadMapping(origin="", entries=())


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Match(_Strict):
    name: str | None = None
    account: str | None = None
    provider: str | None = None
    region: str | None = None
    owner: str | None = None
    tags: dict[str, str] = Field(default_factory=dict)


class _Entry(_Strict):
    workload: str = Field(min_length=1)
    match: _Match
    group: str | None = None
    kind: WorkloadKind = WorkloadKind.UNKNOWN
    owner: str | None = None
    data_class: str | None = None


class _File(_Strict):
    schema_: Literal["spend-watchdog/mapping/1"] = Field(alias="schema")
    workloads: list[_Entry]


def load_mapping(text: str, origin: str) -> WorkloadMapping:
    """A mapping from its text. `origin` is the file's name, for errors and for what is told."""
    try:
        document = read_yaml(text)
    except YamlError as error:
        place = error.place
        raise MappingError(f"{origin}:{place.line}:{place.column}: {error}") from None
    try:
        file = _File.model_validate(document.data or {})
    except ValidationError as error:
        lines = [_told(problem, document, origin) for problem in error.errors()]
        raise MappingError("\n".join(lines)) from None
    entries = tuple(
        _entry(each, document.place_of(("workloads", index)).line)
        for index, each in enumerate(file.workloads)
    )
    for entry in entries:
        if not entry.globs and not entry.tags:
            raise MappingError(
                f"{origin}:{entry.line}: match: an entry without a condition would match every"
                " machine; give at least one of name, account, provider, region, owner or tags"
            )
    return WorkloadMapping(origin=origin, entries=entries)


def _entry(each: _Entry, line: int) -> Entry:
    globs = each.match.model_dump(exclude={"tags"}, exclude_none=True)
    return Entry(
        line=line,
        workload=each.workload,
        globs=globs,
        tags=dict(each.match.tags),
        group=each.group,
        kind=each.kind,
        owner=each.owner,
        data_class=each.data_class,
    )


_KEYS = ("schema", "workloads", *_Entry.model_fields, *_Match.model_fields)


def _told(problem: ErrorDetails, document: MarkedYaml, origin: str) -> str:
    path = problem["loc"]
    unknown = problem["type"] == "extra_forbidden"
    place = document.place_of_key(path) if unknown else document.place_of(path)
    key = str(path[-1]) if path else "file"
    if unknown:
        close = get_close_matches(key, _KEYS, n=1)
        what = "there is no such key" + (f"; did you mean {close[0]}?" if close else "")
    elif problem["type"] == "string_type":
        what = f"must be text, not {problem['input']}; put it in quotes"
    elif problem["type"] == "missing":
        what = "is missing"
    else:
        what = str(problem["msg"])
        what = what[:1].lower() + what[1:]
    return f"{origin}:{place.line}:{place.column}: {key}: {what}"
