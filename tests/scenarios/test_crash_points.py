"""A patrol is killed at every point that anybody outside can tell apart, and the next one goes on.

What a patrol does to the world are commits to tables, objects that it creates, moves or removes,
messages, and stops. Between two of them nothing happens that outlives it: so to be killed after one
is to be killed before the next, and the points are one more than the effects.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from slack_sdk import WebClient

from providers.aws import stop
from tests.moto_aws import AwsServer
from tests.scenarios.acting_world import IDLE_POLICY, People, World, booted, lost, unexplained
from watchdog.ledger.delta import DeltaTables
from watchdog.ledger.objects import Objects

pytestmark = pytest.mark.slow
EFFECTS: tuple[tuple[Any, str], ...] = (
    (DeltaTables, "commit"),
    (Objects, "put_once"),
    (Objects, "remove"),
    (Objects, "move"),
    (WebClient, "chat_postMessage"),
    (WebClient, "chat_update"),
    (stop, "_stop"),
)
TWO_PERIODS = timedelta(minutes=11)
"""So long after a kill the next patrol may take over its claims, and the grace is over."""
STRIDE = int(os.environ.get("CAMPAIGN_CRASH_STRIDE", "1"))
"""Every n-th point only."""


class Killed(BaseException):
    """Nothing catches it, as nothing catches SIGKILL."""


class Kill:
    """Counts what a patrol does to the world, and kills it after so many of them."""

    def __init__(self, after: int | None) -> None:
        self.after = after
        self.done: list[str] = []

    def wrapped(self, name: str, effect: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **options: Any) -> Any:
            self._die()
            result = effect(*args, **options)
            self.done.append(name)
            self._die()
            return result

        return wrapper

    def _die(self) -> None:
        if self.after is not None and len(self.done) >= self.after:
            raise Killed


@contextmanager
def killing(after: int | None) -> Iterator[Kill]:
    """A patrol inside dies after so many effects; None: it lives, and they are counted."""
    kill = Kill(after)
    with pytest.MonkeyPatch.context() as patched:
        for owner, name in EFFECTS:
            patched.setattr(owner, name, kill.wrapped(name, getattr(owner, name)))
        yield kill


@pytest.fixture
def world(signed_in: AwsServer, tmp_path: Path) -> Iterator[World]:
    with People() as slack:
        yield World(signed_in, slack, tmp_path, IDLE_POLICY)


class Scene:
    """Two idle machines of one cluster and one that is protected, and a way back to each moment."""

    def __init__(self, world: World) -> None:
        self.world = world
        cluster = {"ray-cluster-name": "pair"}
        self.pair = [world.machine(f"pair-{n}", told=cluster) for n in range(2)]
        self.mine = world.machine("mine", told={"spend-watchdog:protected": "true"})
        for machine in (*self.pair, self.mine):
            world.measured(machine)
        self._kept = 0

    def keep(self) -> Callable[[], None]:
        """How to get back to this moment."""
        world, now = self.world, self.world.now
        self._kept += 1
        kept = world.folder / f"kept-{self._kept}"
        world.ledger.exists()
        shutil.copytree(world.folder / "ledger", kept)

        def back() -> None:
            shutil.rmtree(world.folder / "ledger")
            shutil.copytree(kept, world.folder / "ledger")
            world.reopened()
            world.now = now
            world.aws.client("ec2").start_instances(InstanceIds=self.pair)
            for machine in self.pair:
                booted(machine, world.begin - timedelta(days=2))
            world.aws.forget_calls()

        return back

    def settled(self, patrols: int) -> None:
        """What may be stopped is, once; nothing else; and the ledger explains it."""
        world = self.world
        for _ in range(patrols):
            if world.stops().total() == len(self.pair):
                break
            world.patrol(after=TWO_PERIODS)
        world.patrol(after=TWO_PERIODS)
        assert world.stops() == dict.fromkeys(self.pair, 1)
        assert unexplained(world) == []
        assert lost(world) == []
        for machine in self.pair:
            assert world.kinds(machine)[-1] == "stopped"


@pytest.mark.parametrize("stage", ["warning", "stopping"])
def test_killed_anywhere_the_next_patrols_finish_what_was_begun(world: World, stage: str) -> None:
    """The first patrol after its claims are over goes on; the second one stops at the latest."""
    scene = Scene(world)
    if stage == "stopping":
        world.patrol()
        world.now += TWO_PERIODS
    back = scene.keep()
    with killing(None) as counted:
        world.patrol()
    assert counted.done.count("_stop") == (2 if stage == "stopping" else 0)
    scene.settled(1)
    for point in range(0, len(counted.done), STRIDE):
        back()
        with killing(point) as kill, pytest.raises(Killed):
            world.patrol()
        assert len(kill.done) == point
        world.reopened()
        scene.settled(2)
