"""A file that says what the columns of another system mean: from its rows to ours.

columns = ["id", "began"]             # where the file has no header
[fields]
run_id = "id"                         # a column; in JSON a path: "slurm.job_id"
workload = { text = "{user}/{name}" }
outcome = { column = "state", words = { COMPLETED = "succeeded" }, other = "unknown" }
"""

from __future__ import annotations

import string
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from watchdog.runs.cells import close_to
from watchdog.runs.columns import COLUMN, REQUIRED
from watchdog.toml_lines import line_of


class ColumnMapError(Exception):
    """A mapping that cannot be used. Says where and how to mend it."""

    exit_code = 2


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _as_table(value: object) -> object:
    return {"column": value} if isinstance(value, str) else value


class FieldMap(_Model):
    """Where the value of one of our columns comes from: exactly one of the first five."""

    column: str | None = None
    text: str | None = None
    """Columns in braces: `{user}/{name}`. Unknown where one of them is."""
    value: str | int | float | None = None
    """The same for every row."""
    count: str | None = None
    """A list in JSON: how many it has."""
    fingerprint: tuple[str, ...] | None = None
    """Columns whose content is taken together; equal means unchanged."""
    words: Mapping[str, str] = Field(default_factory=dict)
    """Their word → ours. A trailing `*` stands for any end: `CANCELLED*`."""
    other: str | None = None
    """Ours for a word that is not listed; None: unknown."""
    time: str | None = None
    """`epoch`, `epoch_ms`, `epoch_us`, or a format of strptime; None: RFC 3339."""
    plus_seconds: str | None = None
    """A column of seconds that is added to a time."""
    per: str | None = None
    """A column by which those seconds are divided."""
    scale: Decimal | None = None
    """A number is multiplied by it."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        origins = (self.column, self.text, self.value, self.count, self.fingerprint)
        if sum(each is not None for each in origins) != 1:
            raise ValueError("needs exactly one of column, text, value, count, fingerprint")
        if self.other is not None and not self.words:
            raise ValueError("`other` belongs to `words`")
        if self.per is not None and self.plus_seconds is None:
            raise ValueError("`per` belongs to `plus_seconds`")
        list(string.Formatter().parse(self.text or ""))  # raises for braces that are not paired
        return self


class SkipMap(_Model):
    """Rows that are no runs: a job that waits still."""

    column: str
    is_: tuple[str, ...] = Field(alias="is")
    """Words as in `words`; an empty one stands for unknown."""


class ColumnMap(_Model):
    fields: Mapping[str, Annotated[FieldMap, BeforeValidator(_as_table)]]
    skip: tuple[SkipMap, ...] = ()
    rows: str | None = None
    """In a JSON document the path to the list of rows; None: it is the list, or one row."""
    columns: tuple[str, ...] | None = None
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    time_zone: str | None = None
    """Of times without an offset. None: UTC, and a notice says so."""
    unknown: tuple[str, ...] = ()
    """Words that mean unknown, beside empty cells: `null`, `Unknown`."""

    @model_validator(mode="after")
    def _knows_our_columns(self) -> Self:
        for name in self.fields:
            if name not in COLUMN:
                near = close_to(name, tuple(COLUMN))
                raise ValueError(
                    f"fields.{name}: there is no such column of runs"
                    + (f"; did you mean {near}?" if near else "")
                )
        missing = [name for name in REQUIRED if name not in self.fields]
        if missing:
            raise ValueError(f"fields: missing {', '.join(missing)}; every run needs them")
        return self

    @model_validator(mode="after")
    def _knows_the_words(self) -> Self:
        for name, told in self.fields.items():
            allowed = COLUMN[name].words
            for word in (*told.words.values(), *([told.other] if told.other else ())):
                if allowed and word not in allowed:
                    raise ValueError(
                        f"fields.{name}: {word!r} is none of {', '.join(map(str, allowed))}"
                    )
        return self

    @property
    def zone(self) -> ZoneInfo | None:
        return None if self.time_zone is None else ZoneInfo(self.time_zone)


def load_column_map(path: Path) -> ColumnMap:
    try:
        text = path.read_text(encoding="utf-8")
        told = ColumnMap.model_validate(tomllib.loads(text))
    except OSError as error:
        raise ColumnMapError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ColumnMapError(f"{path}: not TOML: {error}") from None
    except ValidationError as error:
        raise ColumnMapError(
            "\n".join(_told(each, path, text) for each in error.errors())
        ) from None
    try:
        told.zone  # noqa: B018 - asked so that it fails here
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ColumnMapError(
            f"{path}: time_zone: {told.time_zone!r} is none; write one like Europe/Berlin"
        ) from None
    return told


def _told(problem: Any, path: Path, text: str) -> str:
    keys = [str(part) for part in problem["loc"]]
    message = str(problem["msg"]).removeprefix("Value error, ")
    if not keys and message.startswith("fields."):
        keys = message.partition(":")[0].split(".")
        message = message.partition(": ")[2]
    line = line_of(text, keys)
    where = f"{path}:{line}" if line is not None else str(path)
    name = ".".join(keys)
    return f"{where}: {name}: {message}" if name else f"{where}: {message}"
