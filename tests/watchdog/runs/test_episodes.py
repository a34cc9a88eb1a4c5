"""Patrols make episodes of what GPUs did, into a real ledger."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from policies.facts import Machine, MachineState, Reading, Window
from policies.rules import load_pack
from policies.verdicts import Verdict
from providers.base import Seen
from providers.local.containers import ContainerEnd
from tests.builders import NOW, machine, reading
from tests.shelf import Shelf
from tests.watchdog.ledger.facts import run
from watchdog.agent.happenings import container_row, memory_row
from watchdog.ledger.store import Ledger
from watchdog.ledger.tidying import Tidying
from watchdog.patrol import Parts, patrol
from watchdog.workloads import workloads

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
ONE = machine()
EPISODE = f"episode:{ONE.id}:"
Row = dict[str, Any]
Busy = Callable[[datetime], float | None]


class Fleet(Shelf):
    """One GPU whose utilisation a function tells for every five minutes; nothing after `until`."""

    def __init__(self, busy: Busy, until: datetime, of: Machine = ONE) -> None:
        super().__init__(of)
        self._of = of
        self._busy = busy
        self._until = until

    def readings(self, machines: Sequence[Machine], window: Window) -> Seen[Reading]:
        del machines
        starts = [
            window.started_at + n * timedelta(seconds=window.period_s)
            for n in range(window.intervals)
        ]
        values = [self._value(start, window.period_s) for start in starts]
        host = [0.0] * len(starts)
        return Seen(
            values=(
                reading(
                    [None if v is None else v for v in values],
                    resource=self._of.id,
                    started_at=window.started_at,
                    period_s=window.period_s,
                    utilisation_mean_pct=[None if v is None else v / 2 for v in values],
                    memory_used_mib=[None if v is None else 100 + v * 100 for v in values],
                ),
                reading(
                    [1.0] * len(starts),
                    gpu=None,
                    resource=self._of.id,
                    started_at=window.started_at,
                    period_s=window.period_s,
                    received_bytes=host,
                    sent_bytes=[float(window.period_s)] * len(starts),
                    written_bytes=host,
                ),
            )
        )

    def _value(self, start: datetime, period_s: int) -> float | None:
        steps = [start + n * 5 * MINUTE for n in range(period_s // 300)]
        seen = [self._busy(step) for step in steps if step + 5 * MINUTE <= self._until]
        known = [value for value in seen if value is not None]
        return max(known, default=None)


def busy(*spans: tuple[datetime, datetime], at: float = 90.0) -> Busy:
    return lambda moment: at if any(a <= moment < b for a, b in spans) else 0.0


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(str(tmp_path / "ledger"))


def patrolled(
    ledger: Ledger,
    by: Busy,
    now: datetime,
    of: Machine = ONE,
    backfill: timedelta | None = None,
) -> None:
    shelf = Fleet(by, now, of)
    parts = Parts(providers=[shelf], ledger=ledger, policy=load_pack("observe"), egress=False)
    patrol(parts, now=now, backfill=backfill)


def told(ledger: Ledger) -> list[Row]:
    rows = [row for row in ledger.rows("runs_told") if row["source"] == "episode"]
    return sorted(rows, key=lambda row: str(row["started_at"]))


def spans(ledger: Ledger) -> list[tuple[datetime, datetime | None, str]]:
    """Of what counts."""
    rows = [row for row in ledger.rows("runs") if row["source"] == "episode"]
    return sorted((row["started_at"], row["ended_at"], str(row["outcome"])) for row in rows)  # type: ignore[misc]


def test_activity_that_nobody_recorded_becomes_a_run(ledger: Ledger) -> None:
    seen = busy((NOW - 2 * HOUR, NOW - HOUR))
    patrolled(ledger, seen, NOW)
    (row,) = told(ledger)
    assert row["run_id"] == f"{EPISODE}20261123T060000Z"
    assert (row["started_at"], row["ended_at"]) == (NOW - 2 * HOUR, NOW - HOUR)
    assert (row["outcome"], row["workload"], row["machine_id"]) == ("unknown", "trainer", ONE.id)
    assert (row["gpus"], row["machine_type"], row["gpu_memory_mib"]) == (1, "g5.xlarge", 24576)
    assert (row["peak_gpu_memory_mib"], row["gpu_utilisation_mean_pct"]) == (9100.0, 45.0)
    assert row["sent_bytes"] == 3600
    assert row["setup_seconds"] is None


def test_set_up_after_a_boot_is_told(ledger: Ledger) -> None:
    booted = replace(ONE, started_at=NOW - 100 * MINUTE)
    patrolled(ledger, busy((NOW - HOUR, NOW)), NOW, booted)
    patrolled(ledger, busy((NOW - HOUR, NOW)), NOW + HOUR, booted)
    assert [row["setup_seconds"] for row in told(ledger)] == [2400.0]


def test_an_episode_that_goes_on_is_one_run(ledger: Ledger) -> None:
    seen = busy((NOW - HOUR, NOW + 6 * HOUR))
    for minutes in range(0, 8 * 60, 40):
        patrolled(ledger, seen, NOW + minutes * MINUTE)
    rows = [row for row in ledger.rows("raw_runs") if row["source"] == "episode"]
    assert {row["outcome"] for row in rows} == {"running", "unknown"}
    assert len(rows) == 2  # told at its beginning and at its end, and not at each patrol
    assert spans(ledger) == [(NOW - HOUR, NOW + 6 * HOUR, "unknown")]
    assert told(ledger)[0]["gpu_utilisation_mean_pct"] == 45.0
    assert told(ledger)[0]["sent_bytes"] == 7 * 3600


def test_a_backfill_then_the_next_patrol_then_the_history(ledger: Ledger) -> None:
    """The first patrol makes them, the second goes on, a run that turns up later explains one."""
    past = (NOW - 50 * HOUR, NOW - 45 * HOUR)
    of = replace(ONE, started_at=NOW - timedelta(days=9), first_launched_at=NOW - timedelta(days=9))
    seen = busy(past, (NOW - HOUR, NOW + HOUR))
    patrolled(ledger, seen, NOW, of)
    assert spans(ledger) == [(*past, "unknown"), (NOW - HOUR, None, "running")]
    patrolled(ledger, seen, NOW + 2 * HOUR, of)
    assert spans(ledger) == [(*past, "unknown"), (NOW - HOUR, NOW + HOUR, "unknown")]
    late = run(
        "r1", started_at=past[0] - HOUR, ended_at=past[1] + HOUR, machine_id=of.id, source="slurm"
    )
    ledger.append("runs", [late])
    assert spans(ledger) == [(NOW - HOUR, NOW + HOUR, "unknown")]
    assert len(told(ledger)) == 2  # what was told is still there
    patrolled(ledger, seen, NOW + 3 * HOUR, of, backfill=timedelta(days=14))
    assert spans(ledger) == [(NOW - HOUR, NOW + HOUR, "unknown")]
    ledger.append(
        "runs", [{**late, "revision": "b", "machine_id": "i-other", "observed_at": NOW + HOUR}]
    )
    assert len(spans(ledger)) == 2  # it was another machine's


def test_a_run_that_fits_takes_the_episodes_figures(ledger: Ledger) -> None:
    patrolled(ledger, busy((NOW - 2 * HOUR, NOW - HOUR)), NOW)
    late = run(
        "r1", workload="trainer", started_at=NOW - 2 * HOUR, ended_at=NOW - HOUR, machine_id=ONE.id
    )
    ledger.append("runs", [{**late, "source": "slurm"}])
    (row,) = ledger.rows("runs")
    assert (row["run_id"], row["told_by"]) == ("r1", "slurm;episode")
    assert (row["outcome"], row["peak_gpu_memory_mib"]) == ("succeeded", 9100.0)


def test_what_a_recorded_run_covers_is_no_episode(ledger: Ledger) -> None:
    ledger.append(
        "runs", [run("r1", started_at=NOW - 3 * HOUR, ended_at=NOW - 2 * HOUR, machine_id=ONE.id)]
    )
    patrolled(ledger, busy((NOW - 3 * HOUR, NOW - HOUR)), NOW)
    assert spans(ledger) == [(NOW - 2 * HOUR, NOW - HOUR, "unknown")]


def test_of_a_run_that_turns_up_soon_the_rest_remains(ledger: Ledger) -> None:
    seen = busy((NOW - 3 * HOUR, NOW - HOUR))
    patrolled(ledger, seen, NOW)
    ledger.append(
        "runs",
        [run("r1", started_at=NOW - 3 * HOUR, ended_at=NOW - 110 * MINUTE, machine_id=ONE.id)],
    )
    patrolled(ledger, seen, NOW + 5 * MINUTE)
    assert spans(ledger) == [(NOW - 110 * MINUTE, NOW - HOUR, "unknown")]
    assert len(told(ledger)) == 1


def test_patrols_that_repeat_overlap_or_read_more_change_nothing(ledger: Ledger) -> None:
    seen = busy((NOW - 30 * HOUR, NOW - 28 * HOUR), (NOW - 2 * HOUR, NOW - HOUR))
    patrolled(ledger, seen, NOW)
    before = told(ledger)
    for later in (0, 5, 7, 30):
        patrolled(ledger, seen, NOW + later * MINUTE)
    patrolled(ledger, seen, NOW + HOUR, backfill=timedelta(days=14))
    assert told(ledger) == before


def test_thinned_readings_change_no_episode(ledger: Ledger) -> None:
    seen = busy((NOW - 2 * HOUR - 25 * MINUTE, NOW - 95 * MINUTE))
    patrolled(ledger, seen, NOW)
    before = told(ledger)
    rows = len(ledger.rows("readings"))
    ledger.compact(Tidying(thin_before=(NOW + timedelta(days=1)).date()))
    assert len(ledger.rows("readings")) < rows
    patrolled(ledger, seen, NOW + timedelta(days=2), backfill=timedelta(days=14))
    assert told(ledger) == before  # though hours, not minutes, are read now


def test_late_metrics_join_two_episodes_into_the_older(ledger: Ledger) -> None:
    whole = busy((NOW - 3 * HOUR, NOW - HOUR))

    def with_hole(moment: datetime) -> float | None:
        hole = NOW - 140 * MINUTE <= moment < NOW - 100 * MINUTE
        return None if hole else whole(moment)

    patrolled(ledger, with_hole, NOW)
    assert [row[0] for row in spans(ledger)] == [NOW - 3 * HOUR, NOW - 100 * MINUTE]
    patrolled(ledger, whole, NOW + 5 * MINUTE)
    assert spans(ledger) == [(NOW - 3 * HOUR, NOW - HOUR, "unknown")]
    first, second = told(ledger)
    assert second["aliases"] == f"replaced-by:{first['run_id']}"


def test_a_short_pause_goes_on_a_longer_one_and_a_stop_do_not(ledger: Ledger) -> None:
    at = [NOW - minutes * MINUTE for minutes in (170, 140, 115, 90, 60, 45)]
    patrolled(ledger, busy((at[0], at[1]), (at[2], at[3]), (at[4], at[5])), NOW)
    assert [(a, b) for a, b, _ in spans(ledger)] == [(at[0], at[3]), (at[4], at[5])]


def test_a_smoke_test_is_none(ledger: Ledger) -> None:
    patrolled(ledger, busy((NOW - 100 * MINUTE, NOW - 95 * MINUTE)), NOW)
    assert told(ledger) == []


def test_what_is_not_measured_is_none(ledger: Ledger) -> None:
    patrolled(ledger, lambda _: None, NOW)
    assert told(ledger) == []


def test_a_machine_that_no_rule_attributes_has_none(ledger: Ledger) -> None:
    nameless = machine(name="", id=ONE.id)
    patrolled(ledger, busy((NOW - 2 * HOUR, NOW - HOUR)), NOW, nameless)
    assert told(ledger) == []
    tagged = replace(nameless, tags={"spend-watchdog:workload": "llama"})
    patrolled(ledger, busy((NOW - 2 * HOUR, NOW - HOUR)), NOW, tagged)
    assert [row["workload"] for row in told(ledger)] == ["llama"]


def test_a_new_tag_re_attributes_the_past(ledger: Ledger) -> None:
    seen = busy((NOW - 30 * HOUR, NOW - 28 * HOUR))
    patrolled(ledger, seen, NOW)
    tagged = replace(ONE, tags={"spend-watchdog:workload": "llama", "spend-watchdog:owner": "ana"})
    patrolled(ledger, seen, NOW + 5 * MINUTE, tagged)
    (row,) = told(ledger)
    assert (row["workload"], row["owner"]) == ("llama", "ana")


def test_an_episode_does_not_attribute_its_machine(ledger: Ledger) -> None:
    patrolled(ledger, busy((NOW - 2 * HOUR, NOW)), NOW)
    patrolled(ledger, busy((NOW - 2 * HOUR, NOW)), NOW + 5 * MINUTE)
    assert {row["rule"] for row in ledger.rows("attributions")} == {"name without its counter"}


def test_a_machine_that_is_gone_ends_its_episode(ledger: Ledger) -> None:
    seen = busy((NOW - HOUR, NOW + HOUR))
    patrolled(ledger, seen, NOW)
    patrolled(ledger, seen, NOW + 5 * MINUTE)
    other = machine("other-1", state=MachineState.STOPPED, stopped_at=NOW - 99 * HOUR)
    patrolled(ledger, busy(), NOW + 2 * HOUR, other)
    assert spans(ledger) == [(NOW - HOUR, NOW + 5 * MINUTE, "unknown")]


def test_patrols_that_slept_do_not_bridge_what_nobody_saw(ledger: Ledger) -> None:
    patrolled(ledger, busy((NOW - HOUR, NOW)), NOW)
    later = NOW + timedelta(days=20)
    of = replace(ONE, started_at=later - timedelta(days=40))
    patrolled(ledger, busy((later - timedelta(days=15), later - 9 * HOUR)), later, of)
    assert spans(ledger) == [
        (NOW - HOUR, NOW, "unknown"),
        (later - timedelta(days=14), later - 9 * HOUR, "unknown"),
    ]


def test_they_answer_memory_and_use_but_not_whether_it_finishes(ledger: Ledger) -> None:
    many = [(NOW - n * 4 * HOUR, NOW - n * 4 * HOUR + HOUR) for n in range(1, 8)]
    patrolled(ledger, busy(*many), NOW)
    (found,) = workloads(ledger, now=NOW)
    answers = {q.value: told.answer.value for q, told in found.maturity.questions.items()}
    assert (answers["memory"], answers["uses_what_it_rents"]) == ("yes", "yes")
    assert answers["finishes"] == "unknown"
    assert (found.maturity.verdict, found.maturity.score) == (Verdict.UNKNOWN, None)
    assert (found.maturity.succeeded, found.maturity.failed) == (0, 0)
    assert found.maturity.runs == 7


def end(minutes_ago: float, code: int | None, *, ran: timedelta = HOUR, **changes: Any) -> Row:
    values: Row = {
        "container": "abc",
        "ended_at": NOW - minutes_ago * MINUTE,
        "name": "train",
        "image": None,
        "exit_code": code,
        "ran_s": ran.total_seconds(),
        "out_of_memory": None,
    }
    return dict(container_row(ONE.id, ContainerEnd(**(values | changes))))


@pytest.mark.parametrize(
    ("ends", "outcome", "cause"),
    [
        ([end(62, 0)], "succeeded", None),
        ([end(62, 1)], "failed", "error"),
        ([end(62, 137, out_of_memory=True)], "failed", "oom"),
        ([end(62, 137)], "failed", "unknown"),
        ([end(62, 137), dict(memory_row(ONE.id, 1, NOW - HOUR))], "failed", "oom"),
        ([end(62, 143)], "cancelled", "unknown"),
        ([end(62, 130)], "cancelled", "user"),
        ([end(62, None)], "unknown", None),
        ([dict(memory_row(ONE.id, 1, NOW - HOUR))], "failed", "oom"),
        ([dict(memory_row(ONE.id, 1, NOW - 2 * HOUR))], "unknown", None),
        ([end(62, 0, ran=10 * MINUTE)], "unknown", None),
        ([end(62, 0), end(61, 1, container="def")], "unknown", None),
        ([end(5, 0, ran=3 * HOUR)], "unknown", None),
    ],
)
def test_how_it_ended_an_agent_may_tell(
    ledger: Ledger, ends: list[Row], outcome: str, cause: str | None
) -> None:
    seen = busy((NOW - 2 * HOUR, NOW - HOUR))
    patrolled(ledger, seen, NOW)
    ledger.drop_in_inbox("events", [{**each, "observed_at": NOW} for each in ends])
    patrolled(ledger, seen, NOW + 5 * MINUTE)
    (row,) = told(ledger)
    assert (row["outcome"], row["cause"]) == (outcome, cause)
    patrolled(ledger, seen, NOW + timedelta(days=3))
    assert [row["outcome"] for row in told(ledger)] == [outcome]


def test_a_container_that_ends_ends_the_attempt(ledger: Ledger) -> None:
    """A pause that is too short to end it by itself."""
    ledger.append("events", [end(121, 1), end(50, 0, ran=65 * MINUTE, container="def")])
    seen = busy((NOW - 3 * HOUR, NOW - 2 * HOUR), (NOW - 115 * MINUTE, NOW - 50 * MINUTE))
    patrolled(ledger, seen, NOW)
    assert [row[2] for row in spans(ledger)] == ["failed", "succeeded"]
    detail = json.loads(str(ledger.rows("events")[0]["detail_json"]))
    assert "exit_code" in detail
