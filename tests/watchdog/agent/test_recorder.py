"""Looks become rows of five-minute intervals, at a clock that the test moves."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.base import ProviderUnavailable
from providers.identity import Identity, Unidentified
from providers.local.containers import ContainerEnd
from providers.local.host import Counters
from providers.local.nvml import Device, Sample
from providers.local.occupants import Process
from tests.builders import NOW
from watchdog.agent.intervals import Interval, Look, interval_of
from watchdog.agent.letters import Letters
from watchdog.agent.recorder import Recorder
from watchdog.agent.senses import Senses
from watchdog.agent.spool import Spool

MACHINE = "aws:123456789012:us-east-1:i-trainer-1"
HERE = Identity(machine=MACHINE, provider="aws", region="us-east-1")
LOST = Unidentified(provider="aws", why="its metadata service does not answer")
END = ContainerEnd(
    container="0123456789ab",
    ended_at=NOW + timedelta(seconds=20),
    name="train",
    image="team/train:7",
    exit_code=137,
    ran_s=4000.0,
    out_of_memory=True,
)


def gpus(*percents: float | None, held: float | None = 10.0, watts: float | None = 61.0) -> Sample:
    devices = tuple(
        Device(
            board=place,
            id=str(place),
            utilisation_pct=pct,
            memory_used_mib=held,
            memory_total_mib=81920.0,
            power_w=watts,
        )
        for place, pct in enumerate(percents)
    )
    return Sample(driver="550", devices=devices, boards=len(devices), power_w=None)


def holding(*processes: Process) -> Sample:
    sample = gpus(0.0)
    return replace(sample, devices=(replace(sample.devices[0], processes=processes),))


class Body:
    """A machine whose state the test sets."""

    def __init__(self, folder: Path, *, batch: timedelta = timedelta(minutes=5)) -> None:
        self.now = NOW
        self.sample: Sample | ProviderUnavailable = gpus(0.0)
        self.busy = 0
        self.received = 0
        self.typed_at: datetime | None = None
        self.ends: list[ContainerEnd] = []
        self.kills: int | None = 3
        self.who: Identity | Unidentified = HERE
        self.asked_who = 0
        self.said: list[str] = []
        self.spool = Spool(folder)
        self.letters = Letters(self.spool, batch=batch, say=self.said.append)
        self.recorder = Recorder(
            Senses(
                sample=self._sample,
                counters=self._counters,
                last_input=lambda: self.typed_at,
                ended_containers=self._ended,
                memory_kills=lambda: self.kills,
                whoami=self._who,
            ),
            self.letters,
            sample_every_s=15,
            say=self.said.append,
        )

    def look(self, seconds: float = 15) -> None:
        self.recorder.look(self.now)
        self.now += timedelta(seconds=seconds)

    def looks(self, count: int) -> None:
        for _ in range(count):
            self.look()

    def rows(self, table: str = "readings") -> list[dict[str, Any]]:
        letters = [json.loads(self.spool.text(name) or "") for name in self.spool.names()]
        return [row for letter in letters if letter["table"] == table for row in letter["rows"]]

    def _sample(self) -> Sample:
        if isinstance(self.sample, ProviderUnavailable):
            raise self.sample
        return self.sample

    def _counters(self) -> Counters:
        at_s = (self.now - NOW).total_seconds()
        return Counters(
            at_s=at_s,
            cpu_busy=self.busy,
            cpu_all=round(at_s * 100),
            received_bytes=self.received,
            sent_bytes=0,
            written_bytes=None,
        )

    def _ended(self, since: datetime, until: datetime) -> tuple[ContainerEnd, ...]:
        return tuple(end for end in self.ends if since <= end.ended_at < until)

    def _who(self) -> Identity | Unidentified:
        self.asked_who += 1
        return self.who


@pytest.fixture
def body(tmp_path: Path) -> Body:
    return Body(tmp_path)


def test_a_short_burst_survives_in_the_maximum(body: Body) -> None:
    body.looks(7)
    body.sample = gpus(88.0, held=61440.0, watts=300.0)
    body.look()
    body.sample = gpus(0.0)
    body.looks(13)

    gpu, host = body.rows()
    assert gpu == {
        "resource": MACHINE,
        "gpu": "0",
        "source": "agent",
        "started_at": "2026-11-23T08:00:00+00:00",
        "ended_at": "2026-11-23T08:05:00+00:00",
        "observed_at": "2026-11-23T08:05:00+00:00",
        "utilisation_max_pct": 88.0,
        "utilisation_mean_pct": 4.4,
        "memory_used_mib": 61440,
        "memory_total_mib": 81920,
        "power_w": 73.0,
        "coverage": 1.0,
    }
    assert "gpu" not in host
    assert host["received_bytes"] == 0


def test_what_was_not_measured_has_no_number(body: Body) -> None:
    body.sample = gpus(None, held=None, watts=None)
    body.looks(21)
    gpu, host = body.rows()
    assert gpu.keys() & {"utilisation_max_pct", "memory_used_mib", "power_w"} == set()
    assert gpu["coverage"] == 0.0
    assert "written_bytes" not in host


def test_without_a_driver_the_host_still_speaks_and_the_reason_is_said_once(body: Body) -> None:
    body.sample = ProviderUnavailable("no NVIDIA driver is installed here")
    body.looks(21)
    assert [row.get("gpu") for row in body.rows()] == [None]
    assert body.said == [
        f"this is {MACHINE}",
        "no GPU is measured: no NVIDIA driver is installed here",
    ]


def test_a_driver_that_comes_later_is_found(body: Body) -> None:
    body.sample = ProviderUnavailable("no NVIDIA driver is installed here")
    body.looks(10)
    body.sample = gpus(7.0)
    body.looks(11)
    gpu = body.rows()[0]
    assert (gpu["utilisation_max_pct"], gpu["coverage"]) == (7.0, 0.5)


def test_traffic_seen_for_a_part_stands_for_the_whole_interval(body: Body) -> None:
    body.now += timedelta(minutes=4)
    body.look()
    body.received += 15_000
    body.look()
    body.recorder.close()
    host = body.rows()[-1]
    assert (host["received_bytes"], host["coverage"]) == (300_000, 0.05)


def readings(body: Body) -> list[str]:
    return [name for name in body.letters.still_open if name.startswith("readings-")]


def test_a_letter_stays_open_for_its_batch_and_lies_in_the_spool_all_the_time(
    tmp_path: Path,
) -> None:
    body = Body(tmp_path, batch=timedelta(minutes=15))
    body.looks(21)
    opened = readings(body)
    assert len(opened) == 1
    assert len(body.rows()) == 2
    body.looks(39)
    assert readings(body) == opened
    body.look()
    assert readings(body) == []
    assert len(body.rows()) == 6
    body.looks(20)
    assert len(readings(body)) == 1


def test_a_clock_that_is_set_back_or_forth_ends_the_interval(body: Body) -> None:
    body.looks(4)
    body.now += timedelta(minutes=20)
    body.looks(4)
    body.now -= timedelta(hours=1)
    body.looks(4)
    body.recorder.close()
    begun = {row["started_at"][11:16] for row in body.rows()}
    assert begun == {"08:00", "08:20", "07:20"}


def test_the_name_is_asked_for_until_it_is_known_and_nothing_is_lost(body: Body) -> None:
    body.who = LOST
    body.looks(41)
    assert body.rows() == []
    assert body.asked_who == 21
    body.who = HERE
    body.looks(21)
    assert {row["resource"] for row in body.rows()} == {MACHINE}
    assert {row["started_at"][11:16] for row in body.rows()} == {"08:00", "08:05", "08:10"}
    asked = body.asked_who
    body.looks(21)
    assert body.asked_who == asked
    assert body.said == [LOST.why, f"this is {MACHINE}"]


def test_what_happened_is_told_with_its_interval(body: Body) -> None:
    body.ends = [END]
    body.typed_at = NOW - timedelta(minutes=2)
    body.look()
    body.kills = 5
    body.looks(20)
    rows = {row["kind"]: row for row in body.rows("events")}
    assert rows.keys() == {"container_exit", "last_input", "oom_kill", "gpu_processes"}
    container = json.loads(rows["container_exit"]["detail_json"])
    assert container["why"] == "container train ended with exit code 137, out of memory"
    assert (container["exit_code"], container["out_of_memory"]) == (137, True)
    assert rows["last_input"]["at"] == "2026-11-23T07:58:00+00:00"
    assert json.loads(rows["oom_kill"]["detail_json"])["kills"] == 2
    assert {row["machine"] for row in rows.values()} == {MACHINE}


def test_what_happened_before_is_not_told_again(body: Body) -> None:
    body.ends = [END]
    body.typed_at = NOW
    body.looks(61)
    assert sorted(row["kind"] for row in body.rows("events")) == [
        "container_exit",
        "gpu_processes",
        "last_input",
    ]


def test_who_is_on_the_gpus_is_told_when_it_changes(body: Body) -> None:
    body.looks(21)
    body.sample = holding(Process(pid=4711, name="python3", held_mib=100.0))
    body.looks(40)
    body.sample = gpus(0.0)
    body.looks(21)
    told = [row for row in body.rows("events") if row["kind"] == "gpu_processes"]
    assert [json.loads(row["detail_json"])["held_by"] for row in told] == [
        None,
        "held by python3 (pid 4711) on GPU 0",
        None,
    ]
    assert [row["at"][11:19] for row in told] == ["08:00:00", "08:05:15", "08:15:15"]
    assert {row["n"] for row in told} == {"gpu_processes"}


def test_a_spool_that_cannot_be_written_stops_nothing(
    body: Body, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Spool, "put", full)
    body.looks(41)
    (said,) = {text for text in body.said if "readings are lost" in text}
    assert said.endswith("No space left on device")


@given(
    st.lists(
        st.tuples(
            st.lists(st.none() | st.floats(0, 100), max_size=3),
            st.floats(0, 100_000, allow_nan=False),
        ),
        max_size=12,
    )
)
def test_rows_hold_nothing_that_was_not_seen(looks: list[tuple[list[float | None], float]]) -> None:
    interval = Interval(started_at=interval_of(NOW))
    for percents, at_s in looks:
        counters = Counters(
            at_s=at_s,
            cpu_busy=0,
            cpu_all=1,
            received_bytes=None,
            sent_bytes=None,
            written_bytes=None,
        )
        interval.add(Look(at=NOW, sample=gpus(*percents), counters=counters), None)
    rows = {row["gpu"]: row for row in interval.rows(MACHINE, sample_every_s=15)}
    for place in range(3):
        told = [pct[place] for pct, _ in looks if len(pct) > place]
        known = [pct for pct in told if pct is not None]
        row = rows.get(str(place), {})
        assert (str(place) in rows) == bool(told)
        assert row.get("utilisation_max_pct") == max(known, default=None)
        mean: Any = row.get("utilisation_mean_pct")
        assert (mean is None) == (not known)
        assert mean is None or min(known) - 0.06 <= mean <= max(known) + 0.06


def test_intervals_lie_on_the_grid_of_all_clocks() -> None:
    begin = datetime(2026, 11, 23, 9, 55, tzinfo=UTC)
    kathmandu = timezone(timedelta(hours=5, minutes=45))
    assert interval_of(begin) == begin
    assert interval_of((begin + timedelta(seconds=299.9)).astimezone(kathmandu)) == begin
