"""When a machine started, of a cloud that does not say: by its trail, else as it was known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from policies.facts import MachineState, Transition
from tests.builders import machine
from watchdog.starts import start_of

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
MADE = NOW - timedelta(days=60)


def event(hours: float, *, started: bool) -> Transition:
    at = NOW - timedelta(hours=hours)
    return Transition(machine="m", at=at, started=started, event="e", by=None)


def row(state: str = "running", started_at: datetime | None = None) -> dict[str, object]:
    return {"state": state, "metered": state == "running", "started_at": started_at}


@pytest.mark.parametrize(
    ("trail", "before", "whole", "expected"),
    [
        ([event(5, started=False), event(2, started=True)], None, True, NOW - timedelta(hours=2)),
        ([event(2, started=True), event(1, started=False)], row(), True, None),
        ([], row(started_at=NOW - timedelta(days=3)), True, NOW - timedelta(days=3)),
        ([], row(started_at=NOW - timedelta(days=3)), False, NOW - timedelta(days=3)),
        ([], row("stopped", NOW - timedelta(days=3)), True, None),
        ([], None, True, MADE),
        ([], None, False, None),
        ([], row(), True, MADE),
    ],
    ids=[
        "the trail's last start",
        "a stop whose start is not told yet",
        "as it was known",
        "as it was known, the trail being torn",
        "it was stopped when it was seen last",
        "a whole trail that knows nothing: it ran all along",
        "a torn trail tells nothing",
        "a whole trail, of a machine of unknown start",
    ],
)
def test_a_start(
    trail: list[Transition],
    before: dict[str, object] | None,
    whole: bool,  # noqa: FBT001 - a case's column
    expected: datetime | None,
) -> None:
    seen = machine(started_at=None, first_launched_at=MADE)
    assert start_of(seen, trail, before, trail_is_whole=whole) == expected


def test_what_does_not_run_has_no_start() -> None:
    stopped = machine(started_at=None, state=MachineState.STOPPED, metered=False)
    assert start_of(stopped, [event(2, started=True)], None, trail_is_whole=True) is None
