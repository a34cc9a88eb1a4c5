"""Two patrols that act at once, interleaved at every operation on the store of incidents."""

from __future__ import annotations

import random
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from policies.facts import Gap, Machine, MachineState, WorkloadKind
from policies.ladder import EventKind
from policies.maturity import unknown_maturity
from policies.rules import load_pack
from policies.verdicts import Decision, Phase, PhaseNow, Wanted
from providers.base import Looked, StopAnswer
from tests.builders import NOW, attribution, machine, reading
from tests.shelf import Shelf
from watchdog.actions import Acting, Actor
from watchdog.alerts.delivery import Delivery
from watchdog.alerts.incident_news import IncidentNews, Message, Stage
from watchdog.ledger.incidents import FOLDER, IncidentLog
from watchdog.ledger.objects import Objects
from watchdog.ledger.store import Ledger
from watchdog.patrol_report import JudgedMachine

MINUTE = timedelta(minutes=1)
GRACE = 10 * MINUTE
HOST = reading(
    [1.0] * 6, gpu=None, received_bytes=[0.0] * 6, sent_bytes=[0.0] * 6, written_bytes=[0.0] * 6
)
OPERATIONS = ("put_once", "found", "sizes")
"""All that is asked of the store: to create, to read, to list."""


class Fleet(Shelf):
    """Machines that can be stopped, and what was asked of them."""

    def __init__(self, *machines: Machine) -> None:
        super().__init__(*machines)
        self.states = {each.id: each for each in machines}
        self.stopped: Counter[str] = Counter()

    def look(self, machine: Machine) -> Looked | Gap | None:
        return Looked(machine=self.states[machine.id], host=HOST)

    def stop(self, machine: Machine) -> StopAnswer:
        self.stopped[machine.id] += 1
        self.states[machine.id] = replace(machine, state=MachineState.STOPPED)
        return StopAnswer(result="stopped", why="it is stopped")


@dataclass(slots=True)
class Channel:
    posted: list[IncidentNews] = field(default_factory=list)

    def __call__(self, news: IncidentNews, known: Sequence[Message]) -> Delivery:
        ts = known[-1][1] if known else f"{len(self.posted)}.0"
        if not known:
            self.posted.append(news)
        return Delivery(channel="C1", delivered=True, why="posted", ts=ts)


@dataclass(slots=True)
class Play:
    """One ledger, one fleet, and as many patrols as there may be."""

    folder: Path
    fleet: Fleet
    channel: Channel = field(default_factory=Channel)

    def patrol(self, name: str, minutes: float) -> Actor:
        now = NOW + minutes * MINUTE
        actor = Actor(
            acting=Acting(channels=[self.channel]),
            ledger=Ledger.open(str(self.folder)),
            providers=[self.fleet],
            limits=load_pack("default").limits,
            patrol_id=name,
            now=now,
        )
        actor.act([judged(each, now) for each in self.fleet.states.values()])
        return actor


def judged(each: Machine, now: datetime) -> JudgedMachine:
    phase = PhaseNow(
        phase=Phase.IDLE,
        quiet_since=NOW - timedelta(hours=2),
        confidence=0.99,
        coverage=1.0,
        why=(),
        source="cloudwatch:CWAgent",
        measured_until=now,
    )
    wanted = Wanted.STOP if each.running else Wanted.LEAVE
    decision = Decision(machine=each.id, wanted=wanted, findings=(), why=(), grace=GRACE)
    return JudgedMachine(
        machine=each,
        attribution=attribution(kind=WorkloadKind.TRAINING),
        phase=phase,
        maturity=unknown_maturity(now),
        decision=decision,
    )


@contextmanager
def before_each_operation(pause: Callable[[], None]) -> Iterator[None]:
    """Calls `pause` before each operation on incidents, in whatever thread it is."""
    with pytest.MonkeyPatch.context() as patched:
        for name in OPERATIONS:
            patched.setattr(Objects, name, _paused(getattr(Objects, name), pause))
        yield


def _paused(operation: Callable[..., Any], pause: Callable[[], None]) -> Callable[..., Any]:
    def paused(self: Objects, key: str, *more: Any) -> Any:
        if key.startswith(FOLDER):
            pause()
        return operation(self, key, *more)

    return paused


STAGES: dict[str, tuple[tuple[tuple[str, float], ...], float]] = {
    "warning": ((), 0.0),
    "stopping": ((("first", 0.0),), 15.0),
}
"""What patrols went before, and the minute at which two meet."""


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A ledger for each stage, as it was when the two patrols began."""
    made = {}
    for stage, (earlier, _) in STAGES.items():
        folder = tmp_path_factory.mktemp(stage) / "ledger"
        play = Play(folder, Fleet(*pair()))
        Ledger.open(str(folder))
        for name, minutes in earlier:
            play.patrol(name, minutes)
        made[stage] = folder
    return made


def pair() -> list[Machine]:
    return [machine("one"), machine("two")]


def begun(stage: str, before: dict[str, Path], folder: Path) -> Play:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(before[stage], folder)
    return Play(folder, Fleet(*pair()))


def settled(play: Play, stage: str, minute: float) -> None:
    """After whatever happened, later patrols stop each machine once, and told people once."""
    for number in range(1, 5):
        play.patrol(f"later-{number}", minute + 11.0 * number)
    assert play.fleet.stopped == {each.id: 1 for each in pair()}
    log = IncidentLog(Ledger.open(str(play.folder)))
    for each in pair():
        incidents = log.of(each.id)
        assert not any(kept.incident.open for kept in incidents)
        ended = [event.kind for kept in incidents for event in kept.events]
        assert ended.count(EventKind.STOP_INTENDED) == ended.count(EventKind.STOPPED) == 1
        assert ended.count(EventKind.WARNED) == 1
    told = Counter(news.machine for news in play.channel.posted if news.stage is Stage.WARNED)
    assert set(told.values()) <= {1}, "a second message for the same pause"
    assert len(told) == (2 if stage == "warning" else 0)


@pytest.mark.parametrize("stage", list(STAGES))
def test_a_second_patrol_in_the_middle_of_the_first_changes_nothing(
    stage: str, before: dict[str, Path], tmp_path: Path
) -> None:
    """The second one runs from end to end before each operation of the first."""
    minute = STAGES[stage][1]
    points = 0
    while True:
        play = begun(stage, before, tmp_path / "ledger")
        if not _met_at(points, play, minute):
            break
        settled(play, stage, minute)
        points += 1
    assert points >= 8


def _met_at(point: int, play: Play, minute: float) -> bool:
    """Whether the first patrol has so many operations; the second one ran before that one."""
    left = [point]

    def pause() -> None:
        left[0] -= 1
        if left[0] == -1:
            play.patrol("second", minute)

    with before_each_operation(pause):
        play.patrol("first-of-two", minute)
    return left[0] < 0


class Schedule:
    """Lets one thread at a time run, and chooses by its seed which one, at each operation."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._turn = threading.Condition()
        self._running: int | None = None
        self._alive: set[int] = set()
        self._own = threading.local()

    def run(self, *works: Callable[[], object]) -> None:
        self._alive = set(range(len(works)))
        errors: list[BaseException] = []

        def begin(number: int, work: Callable[[], object]) -> None:
            self._own.number = number
            try:
                self._wait(number)
                work()
            except BaseException as error:  # noqa: BLE001 - told by the test's own thread
                errors.append(error)
            with self._turn:
                self._alive.discard(number)
                self._choose()

        threads = [
            threading.Thread(target=begin, args=(number, work), daemon=True)
            for number, work in enumerate(works)
        ]
        for thread in threads:
            thread.start()
        with self._turn:
            self._choose()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]

    def pause(self) -> None:
        number: int | None = getattr(self._own, "number", None)
        if number is None:
            return  # a reader's thread, which belongs to the operation of another
        with self._turn:
            self._choose()
        self._wait(number)

    def _choose(self) -> None:
        self._running = self._random.choice(sorted(self._alive)) if self._alive else None
        self._turn.notify_all()

    def _wait(self, number: int) -> None:
        with self._turn:
            if not self._turn.wait_for(lambda: self._running == number, timeout=60):
                raise RuntimeError(f"nobody lets thread {number} go on")


@pytest.mark.parametrize("stage", list(STAGES))
@pytest.mark.parametrize("seed", range(10))
def test_three_patrols_at_once_in_any_order_stop_each_machine_once(
    stage: str, seed: int, before: dict[str, Path], tmp_path: Path
) -> None:
    minute = STAGES[stage][1]
    play = begun(stage, before, tmp_path / "ledger")
    schedule = Schedule(seed)

    def one(name: str) -> Callable[[], object]:
        return lambda: play.patrol(name, minute)

    with before_each_operation(schedule.pause):
        schedule.run(one("a"), one("b"), one("c"))
    settled(play, stage, minute)
