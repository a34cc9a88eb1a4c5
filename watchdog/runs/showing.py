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
    """The newest word on a run, and the details of its end where the wrapper told them.

    `run_id` may be the beginning of one id. Raises `NoRunError`.
    """
    row = _one(ledger.rows("runs"), run_id)
    told: dict[str, object] = {name: _plain(value) for name, value in row.items()}
    started, ended = row["started_at"], row["ended_at"]
    told["duration_seconds"] = (
        None if ended is None else (moment_of(ended) - moment_of(started)).total_seconds()
    )
    for event in ledger.rows("run_ends"):
        if event["subject"] == row["run_id"]:
            told |= json.loads(str(event["detail_json"]))
    return told


def _one(told: Sequence[Row], run_id: str) -> Row:
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
