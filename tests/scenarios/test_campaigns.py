"""Many patrols under bad luck: killed at any moment, or by servers that answer badly.

    CAMPAIGN=200 CAMPAIGN_FIGURES=figures.jsonl pytest tests/scenarios/test_campaigns.py

runs as many of each as were asked for and notes how it went; without it, enough to see that they
can go wrong.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from providers.aws.session import Limits
from tests.fake_slack import Answer, Call
from tests.moto_aws import STAGE, AwsServer, Start
from tests.moto_aws import _call as call_of
from tests.scenarios.acting_world import (
    IDLE_POLICY,
    STEP,
    People,
    World,
    booted,
    lost,
    unexplained,
)
from tests.scenarios.patrol_zygote import zygote

pytestmark = pytest.mark.slow
KILLS = int(os.environ.get("CAMPAIGN", "5"))
FAULTY_PATROLS = int(os.environ.get("CAMPAIGN", "12"))
FREE, PROTECTED = 4, 2
IMPATIENT = Limits(attempts=2, connect_s=1, read_s=0.4, scope_s=20)


@dataclass(slots=True)
class Fleet:
    """Idle machines of which some are protected. An episode lasts until the others are stopped."""

    world: World
    free: list[str] = field(init=False)
    mine: list[str] = field(init=False)
    patrols: list[int] = field(default_factory=list)
    """How many the stops of an episode took, counted from the first."""
    episodes: int = 0

    def __post_init__(self) -> None:
        world = self.world
        own = {"spend-watchdog:protected": "true"}
        self.free = [world.machine(f"free-{n}") for n in range(FREE)]
        self.mine = [world.machine(f"mine-{n}", told=own) for n in range(PROTECTED)]
        self.again()

    def again(self) -> None:
        """All run since three hours ago, quiet ever since: a boot of its own for each episode."""
        world = self.world
        self.episodes += 1
        if self.episodes % 5 == 0:  # as if somebody compacted it: a long one only costs time
            shutil.rmtree(world.folder / "ledger")
            world.reopened()
        world.now += timedelta(hours=8)  # so long after its stop that nobody regrets it
        world.aws.forget_calls()
        world.aws.client("ec2").start_instances(InstanceIds=[*self.free, *self.mine])
        since = world.now - world.begin
        for machine in (*self.free, *self.mine):
            booted(machine, world.now - timedelta(hours=4))
            world.measured(
                machine, since=since - timedelta(hours=4), until=since + timedelta(hours=5)
            )

    def judged(self, patrols: int) -> None:
        """What must hold whatever happened."""
        world = self.world
        stops = world.stops()
        assert not set(stops) & set(self.mine), "against a veto"
        assert all(times == 1 for times in stops.values()), stops
        left = set(self.free) - set(stops)
        assert not left, [world.told(machine) for machine in left]
        assert unexplained(world) == []
        assert lost(world) == []
        self.patrols.append(patrols)


@pytest.fixture
def world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[World]:
    with request.param() as server, Moody() as slack:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("AWS_PROFILE", raising=False)
        yield World(server, slack, tmp_path, IDLE_POLICY)


@dataclass(slots=True)
class Mood:
    """By which chance a call goes wrong, and how. Nothing does while `chance` is 0."""

    random: random.Random
    chance: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    met: int = 0

    def ill(self) -> str | None:
        with self._lock:
            if self.random.random() >= self.chance:
                return None
            self.met += 1
            return self.random.choice(("429", "500", "slow", "cut", "nonsense"))


class MoodyAws(AwsServer):
    """Like a proxy before EC2 and CloudWatch that is about to break."""

    mood = Mood(random.Random(7))

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        ill = None
        if not environ["PATH_INFO"].startswith("/moto-api"):
            call = call_of(environ)
            ill = None if call.key == STAGE else self.mood.ill()
        if ill in {"429", "500"}:
            start("503 Slow Down" if ill == "429" else "500 Oops", [("Content-Type", "text/xml")])
            code = "RequestLimitExceeded" if ill == "429" else "InternalError"
            error = f"<Errors><Error><Code>{code}</Code><Message>no</Message></Error></Errors>"
            return [f"<Response>{error}<RequestID>r</RequestID></Response>".encode()]
        if ill == "nonsense":
            start("200 OK", [("Content-Type", "text/html")])
            return [b"<html>the proxy says hello</html>"]
        body = b"".join(super().__call__(environ, start))
        if ill == "slow":
            time.sleep(2 * IMPATIENT.read_s)  # the answer comes when nobody waits for it
        return [body[: len(body) // 2] if ill == "cut" else body]


class Moody(People):
    mood = Mood(random.Random(8))

    def answer_to(self, call: Call) -> Answer:
        match self.mood.ill():
            case "429":
                self.calls.append(call)
                return Answer(status=429, body="{}", headers={"Retry-After": "0"})
            case "500":
                self.calls.append(call)
                return Answer(status=500, body="oops")
            case "slow" | "cut":
                answer = super().answer_to(call)
                return Answer(body=answer.body[: len(answer.body) // 2])
            case "nonsense":
                self.calls.append(call)
                return Answer(body="<html>the proxy says hello</html>")
            case _:
                return super().answer_to(call)


@pytest.fixture(autouse=True)
def good_mood() -> Iterator[None]:
    MoodyAws.mood, Moody.mood = Mood(random.Random(7)), Mood(random.Random(8))
    yield
    MoodyAws.mood.chance = Moody.mood.chance = 0.0


@pytest.mark.parametrize("world", [AwsServer], indirect=True)
def test_killed_at_any_moment(world: World) -> None:
    """Two of three patrols are killed, at a moment drawn from twice the time that one takes."""
    chance = random.Random(20_261_201)
    fleet, kills, patrols = Fleet(world), 0, 0
    with zygote(world.aws.environment) as forks:
        begun = time.monotonic()
        forks.begun(world.order())
        assert forks.ended() == 0
        lasts = time.monotonic() - begun
        fleet.again()
        while kills < KILLS:
            patrols += 1
            world.now += STEP
            pid = forks.begun(world.order())
            if chance.random() < 2 / 3:
                time.sleep(chance.uniform(0, 1.2 * lasts))
                os.kill(pid, signal.SIGKILL)
            status = forks.ended()
            kills += status == -signal.SIGKILL
            assert status in {0, -signal.SIGKILL}
            if status == 0 and patrols >= _enough(fleet):
                patrols = _finished(fleet, forks, patrols)
        _finished(fleet, forks, patrols)
    _report(fleet, kills=kills)


def _report(fleet: Fleet, **figures: int) -> None:
    """To the file that CAMPAIGN_FIGURES names, if it names one."""
    figures |= {"episodes": len(fleet.patrols), "most patrols": max(fleet.patrols)}
    if "CAMPAIGN_FIGURES" in os.environ:
        with Path(os.environ["CAMPAIGN_FIGURES"]).open("a", encoding="utf-8") as file:
            file.write(json.dumps(figures) + "\n")


def _enough(fleet: Fleet) -> int:
    """Patrols of an episode before it is let end: long and short ones, so that all stages die."""
    return 3 + 2 * (fleet.episodes % 5)


def _finished(fleet: Fleet, forks: Any, patrols: int) -> int:
    """The episode's end, undisturbed: whatever was begun is finished. Then a new one begins."""
    for _ in range(8):
        if fleet.world.stops().total() == FREE:
            break
        patrols += 1
        fleet.world.now += STEP
        forks.begun(fleet.world.order())
        assert forks.ended() == 0
    fleet.world.now += 2 * STEP  # claims of the dead are over then
    forks.begun(fleet.world.order())
    assert forks.ended() == 0
    fleet.world.reopened()
    fleet.judged(patrols)
    fleet.again()
    return 0


@pytest.mark.parametrize("world", [MoodyAws], indirect=True)
def test_answered_badly_by_everybody(world: World) -> None:
    """429, 500, silence, cut and senseless answers, and a clock that is minutes wrong."""
    chance = random.Random(20_261_202)
    world.limits = IMPATIENT
    fleet, patrols, bad = Fleet(world), 0, 0
    while bad < FAULTY_PATROLS:
        MoodyAws.mood.chance = chance.choice((0.02, 0.1, 0.3))
        Moody.mood.chance = chance.choice((0.0, 0.2, 0.6))
        skew = timedelta(seconds=chance.uniform(-120, 120))
        report = world.patrol(skew=skew)
        json.dumps([outcome.why for outcome in report.outcomes])
        patrols, bad = patrols + 1, bad + 1
        if patrols >= _enough(fleet):
            _healed(fleet, patrols)
            patrols = 0
    _healed(fleet, patrols)
    assert MoodyAws.mood.met + Moody.mood.met > 0
    _report(fleet, faults=MoodyAws.mood.met + Moody.mood.met)


def _healed(fleet: Fleet, patrols: int) -> None:
    """The episode's end, with servers that answer well."""
    MoodyAws.mood.chance = Moody.mood.chance = 0.0
    for number in range(8):
        if fleet.world.stops().total() == FREE and number >= 3:
            break
        patrols += 1
        fleet.world.patrol()
    fleet.judged(patrols)
    fleet.again()
