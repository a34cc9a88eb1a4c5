"""Looks at the machine in, rows for letters out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from providers.base import ProviderUnavailable
from providers.identity import Identity
from providers.local.containers import ContainerEnd
from providers.local.nvml import Sample
from providers.local.occupants import held_by
from watchdog.agent.happenings import Row, container_row, holders_row, input_row, memory_row
from watchdog.agent.intervals import Interval, Look, interval_of
from watchdog.agent.letters import Letters
from watchdog.agent.senses import Senses

ASK_AGAIN = timedelta(seconds=30)
"""A machine that boots may be up before its metadata service can be reached."""
KEPT_NAMELESS = 288
"""Intervals that wait for the machine's name: a day."""

Say = Callable[[str], None]


@dataclass(slots=True, kw_only=True)
class _Chapter:
    """One interval with what happened in it."""

    interval: Interval
    ends: list[ContainerEnd] = field(default_factory=list)
    typed_at: datetime | None = None
    kills: int = 0
    holders: tuple[datetime, str | None] | None = None
    """Since when who is on the GPUs; None: as in the interval before."""


class Recorder:
    """Holds the interval under way; each one that has ended lies in a letter at once."""

    def __init__(
        self,
        senses: Senses,
        letters: Letters,
        *,
        sample_every_s: float,
        say: Say,
        machine: str | None = None,
    ) -> None:
        """`machine`: its id; None: it is found out, and asked for until it is known."""
        self._senses = senses
        self._letters = letters
        self._sample_every_s = sample_every_s
        self._say = say
        self._machine = machine
        self._region = None if machine is None else _region_of(machine)
        self._ask_at: datetime | None = None
        self._last: Look | None = None
        self._chapter: _Chapter | None = None
        self._nameless: deque[_Chapter] = deque(maxlen=KEPT_NAMELESS)
        self._typed_at: datetime | None = None
        self._kills: int | None = None
        self._holders: tuple[str | None] | None = None
        self._said: set[str] = set()

    @property
    def region(self) -> str | None:
        """Where the cloud says that this machine is; None: not known, or no cloud."""
        return self._region

    def look(self, now: datetime) -> None:
        """One look. Whatever cannot be seen is left out, and said once."""
        self._identify(now)
        look = Look(at=now, sample=self._sampled(), counters=self._senses.counters())
        start = interval_of(now)
        if self._chapter is not None and self._chapter.interval.started_at != start:
            self._end_chapter()
        if self._chapter is None:
            self._chapter = _Chapter(interval=Interval(started_at=start))
        self._chapter.interval.add(look, self._last)
        self._listen(self._chapter, now)
        self._see_holders(self._chapter, look)
        self._last = look
        self._letters.close(until=start)

    def close(self) -> None:
        """What was seen so far goes into letters, the interval under way included."""
        self._end_chapter()
        self._letters.close_all()

    def _identify(self, now: datetime) -> None:
        if self._machine is not None:
            return
        if self._ask_at is not None and now < self._ask_at <= now + ASK_AGAIN:
            return
        found = self._senses.whoami()
        if not isinstance(found, Identity):
            self._ask_at = now + ASK_AGAIN
            self._say_once(found.why)
            return
        self._machine = found.machine
        self._region = _region_of(found.machine)
        self._say_once(f"this is {found.machine}")

    def _sampled(self) -> Sample | None:
        try:
            return self._senses.sample()
        except (ProviderUnavailable, ModuleNotFoundError) as why:
            self._say_once(f"no GPU is measured: {why}")
            return None

    def _listen(self, chapter: _Chapter, now: datetime) -> None:
        """Events since the look before; what came before the first look is nobody's."""
        typed_at = self._senses.last_input()
        if typed_at is not None and (self._typed_at is None or typed_at > self._typed_at):
            self._typed_at = chapter.typed_at = typed_at
        kills = self._senses.memory_kills()
        if kills is not None and self._kills is not None:
            chapter.kills += max(0, kills - self._kills)
        self._kills = kills
        if self._last is not None and self._last.at < now:
            chapter.ends += self._senses.ended_containers(self._last.at, now) or ()

    def _see_holders(self, chapter: _Chapter, look: Look) -> None:
        """A change is told, and what the first look shows: an agent before may have told others."""
        if look.sample is None:
            return
        holders = held_by(look.sample.devices)
        if self._holders != (holders,):
            self._holders = (holders,)
            chapter.holders = (look.at, holders)

    def _end_chapter(self) -> None:
        if self._chapter is not None:
            self._nameless.append(self._chapter)
            self._chapter = None
        if self._machine is None:
            return
        for chapter in self._nameless:
            start = chapter.interval.started_at
            rows = chapter.interval.rows(self._machine, sample_every_s=self._sample_every_s)
            self._letters.add("readings", rows, started_at=start)
            self._letters.add("events", _happened(self._machine, chapter), started_at=start)
        self._nameless.clear()

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._say(text)


def _region_of(machine: str) -> str | None:
    provider, _, region, _ = machine.split(":")
    return None if provider == "local" else region


def _happened(machine: str, chapter: _Chapter) -> list[Row]:
    ended_at = chapter.interval.ended_at
    rows = [container_row(machine, end) for end in chapter.ends]
    if chapter.typed_at is not None:
        rows.append(input_row(machine, chapter.typed_at, ended_at))
    if chapter.holders is not None:
        at, holders = chapter.holders
        rows.append(holders_row(machine, holders, at))
    if chapter.kills:
        rows.append(memory_row(machine, chapter.kills, ended_at))
    return rows
