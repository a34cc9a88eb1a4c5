"""One run with all that is known of it, for people and pipes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from watchdog.json_values import moment
from watchdog.rows import Row, moment_of

if TYPE_CHECKING:
    from watchdog.ledger.store import Ledger


class NoRunError(Exception):
    """No run, or more than one, is meant."""

    exit_code = 1


def shown(ledger: Ledger, run_id: str) -> dict[str, object]:
    """What is known of a run, and the details of its end where the wrapper told them.

    `run_id` may be the beginning of one id, and that of any source's run. A run that several
    sources tell has under `told` the row of each, and under `differ` what they disagree on. Raises
    `NoRunError`.
    """
    told = ledger.rows("runs_told")
    asked = one_of(told, run_id)
    matches = {str(row["run_id"]): row for row in ledger.rows("run_attempts")}
    match = matches.get(str(asked["run_id"]))
    attempt = str(asked["run_id"] if match is None else match["attempt"] or asked["run_id"])
    found = [row for row in ledger.rows("runs") if row["run_id"] == attempt]
    row = found[0] if found else asked
    ids = {attempt, *(each for each, how in matches.items() if how["attempt"] == attempt)}
    sources = [each for each in told if each["run_id"] in ids]
    shown_now: dict[str, object] = {name: _plain(value) for name, value in row.items()}
    started, ended = row["started_at"], row["ended_at"]
    shown_now["duration_seconds"] = (
        None if ended is None else (moment_of(ended) - moment_of(started)).total_seconds()
    )
    if match is not None and match["attempt"] is None:
        shown_now["counts"] = f"no: {_HIDDEN[str(match['way'])]}"
    if len(sources) > 1:
        shown_now["differ"] = differences(sources)
        shown_now["told"] = [_told(each, matches.get(str(each["run_id"]))) for each in sources]
    for event in ledger.rows("run_ends"):
        if event["subject"] in ids:
            shown_now |= json.loads(str(event["detail_json"]))
    return shown_now


_HIDDEN = {
    "explained": "recorded runs explain most of it",
    "replaced": "it is a part of another episode",
}

_OWN = frozenset({"run_id", "revision", "source", "aliases", "observed_at"})
"""Columns in which sources differ by nature."""


def differences(sources: Sequence[Row]) -> dict[str, dict[str, object]]:
    """By column, what each source says where they do not agree. Unknown contradicts nothing."""
    names = [name for name in sources[0] if name not in _OWN]
    found: dict[str, dict[str, object]] = {}
    for name in names:
        said = {str(row["source"]): _plain(row[name]) for row in sources if row[name] is not None}
        if len({str(value) for value in said.values()}) > 1:
            found[name] = said
    return found


def _told(row: Row, match: Row | None) -> dict[str, object]:
    said = {name: _plain(value) for name, value in row.items() if value is not None}
    return said if match is None else {**said, "merged_by": match["way"]}


def one_of(told: Sequence[Row], run_id: str) -> Row:
    """The run of this id, or the only one whose id begins like it. Raises `NoRunError`."""
    found = [row for row in told if row["run_id"] == run_id]
    found = found or [row for row in told if str(row["run_id"]).startswith(run_id)]
    if len(found) == 1:
        return found[0]
    if found:
        raise NoRunError(f"{run_id}: {len(found)} runs begin like this: write more of the id")
    raise NoRunError(f"{run_id}: there is no such run: `spend-watchdog runs list` shows them")


def _plain(value: object) -> object:
    if hasattr(value, "astimezone"):
        return moment(moment_of(value))
    return value if isinstance(value, str | int | float | None) else str(value)
