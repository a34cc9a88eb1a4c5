"""How an episode ended, where an agent told what ended beside it. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from policies.episodes import JOINED
from policies.facts import Run, RunCause, RunOutcome
from watchdog.recording.ending import Ended, Verdict, verdict
from watchdog.rows import Row, moment_of

COVERED = 0.5
"""The share of an episode that a container must have run through to be what was at work."""
BESIDE = timedelta(minutes=10)
"""Two intervals: so far from the end of the activity the kernel's memory killer may have struck."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One that ended on the machine. None: the runtime did not tell."""

    ended_at: datetime
    exit_code: int | None
    ran_s: float | None
    out_of_memory: bool | None
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """What ended on one machine."""

    containers: tuple[Container, ...] = ()
    memory_kills: tuple[tuple[datetime, int], ...] = ()
    """End of the interval, and how many processes."""


NOTHING_ENDED = Ends()


def ends_by_machine(told: Sequence[Row]) -> dict[str, Ends]:
    """By machine, from rows of the view `container_ends`."""
    containers: dict[str, list[Container]] = {}
    kills: dict[str, list[tuple[datetime, int]]] = {}
    for row in told:
        machine, at = str(row["machine"]), moment_of(row["ended_at"])
        detail = json.loads(str(row["detail_json"]))
        if row["kind"] == "oom_kill":
            kills.setdefault(machine, []).append((at, int(detail.get("kills") or 1)))
        else:
            containers.setdefault(machine, []).append(_container(at, detail))
    return {
        machine: Ends(
            containers=tuple(containers.get(machine, ())),
            memory_kills=tuple(kills.get(machine, ())),
        )
        for machine in {*containers, *kills}
    }


def with_outcome(episode: Run, ends: Ends) -> Run:
    """The ended episode with the outcome that something told; one that is known stays.

    A container tells it that ended when the activity did and ran through half of it. Of several
    that could have been meant all must tell the same.
    """
    if episode.ended_at is None or episode.outcome is not RunOutcome.UNKNOWN:
        return episode
    told = {_verdict(each, ends) for each in ends.containers if _was_at_work(each, episode)}
    if not told and _kills_beside(episode.ended_at, ends):
        told = {_out_of_memory()}
    if len(told) != 1:
        return episode
    found = told.pop()
    if found is None:
        return episode
    return replace(episode, outcome=found.outcome, cause=found.cause, error=found.error)


def _container(at: datetime, detail: Mapping[str, object]) -> Container:
    code, ran_s = detail.get("exit_code"), detail.get("ran_s")
    memory = detail.get("out_of_memory")
    return Container(
        ended_at=at,
        exit_code=code if isinstance(code, int) else None,
        ran_s=float(ran_s) if isinstance(ran_s, int | float) else None,
        out_of_memory=memory if isinstance(memory, bool) else None,
        name=str(detail.get("name") or detail.get("container")),
    )


def _was_at_work(container: Container, episode: Run) -> bool:
    """A container of which nobody tells when it began is believed to have run all the time."""
    if episode.ended_at is None or abs(container.ended_at - episode.ended_at) >= JOINED:
        return False
    if container.ran_s is None:
        return True
    begin = container.ended_at - timedelta(seconds=container.ran_s)
    both = min(container.ended_at, episode.ended_at) - max(begin, episode.started_at)
    return both >= COVERED * (episode.ended_at - episode.started_at)


def _verdict(container: Container, ends: Ends) -> Verdict | None:
    """As of a recorded command; None: no exit code was told."""
    if container.out_of_memory:
        return _out_of_memory()
    if container.exit_code is None:
        return None
    found = verdict(
        Ended(
            exit_code=container.exit_code,
            memory_kills=len(_kills_beside(container.ended_at, ends)),
        )
    )
    return replace(found, by_itself=False)


def _kills_beside(moment: datetime, ends: Ends) -> list[datetime]:
    return [at for at, _ in ends.memory_kills if abs(at - moment) <= BESIDE]


def _out_of_memory() -> Verdict:
    return Verdict(
        outcome=RunOutcome.FAILED,
        cause=RunCause.OOM,
        error="the kernel ended it because memory ran out",
    )
