"""When somebody watched, by the ledger's patrols. What was not watched counts nowhere."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import pairwise
from statistics import median
from typing import Any

from policies.facts import Scope
from watchdog.rows import Row, moment_of

LEAST_GAP = timedelta(hours=1)
USUAL_TIMES = 3
"""Patrols that lie further apart than so many times the usual, and than an hour, leave a gap."""

Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One patrol: when it was, and what it saw whole."""

    at: datetime
    scopes: frozenset[Scope]
    acted: bool


@dataclass(frozen=True, kw_only=True)
class Watched:
    """The patrols of a span of time, and what lies between them."""

    looks: tuple[Look, ...]
    """Oldest first."""
    spans: Mapping[Scope, Sequence[Span]]
    """By place, when it was watched: from a patrol to the next, oldest first."""
    gaps: Mapping[Scope, Sequence[Span]]
    """By place, when nobody watched between its first patrol and the end."""
    until: datetime

    @property
    def seen_from(self) -> datetime | None:
        starts = (spans[0][0] for spans in self.spans.values() if spans)
        return min(starts, default=self.looks[0].at if self.looks else None)

    @property
    def observed(self) -> timedelta:
        """How long anything was watched."""
        return _length(_united(span for spans in self.spans.values() for span in spans))

    def since(self, scope: Scope, at: datetime) -> datetime | None:
        """From when on the time up to the patrol at `at` was watched; None: there is a gap."""
        return self._began.get((scope, at))

    @cached_property
    def _began(self) -> Mapping[tuple[Scope, datetime], datetime]:
        return {
            (scope, ended): began for scope, spans in self.spans.items() for began, ended in spans
        }


def watched(patrols: Iterable[Row], *, since: datetime, until: datetime) -> Watched:
    looks = sorted(_looks(patrols, until), key=lambda look: look.at)
    times: dict[Scope, list[datetime]] = defaultdict(list)
    for look in looks:
        for scope in look.scopes:
            times[scope].append(look.at)
    spans: dict[Scope, list[Span]] = {}
    gaps: dict[Scope, list[Span]] = {}
    for scope, several in times.items():
        most = _most(several)
        between = [*pairwise(several), (several[-1], until)]
        inside = [(max(a, since), b) for a, b in between if b > since and b > a]
        of_looks = {(max(a, since), b) for a, b in pairwise(several) if b - a <= most}
        spans[scope] = [span for span in inside if span in of_looks]
        gaps[scope] = [(a, b) for a, b in inside if (a, b) not in of_looks and b - a > most]
    return Watched(
        looks=tuple(look for look in looks if look.at >= since),
        spans=spans,
        gaps=gaps,
        until=until,
    )


def _looks(patrols: Iterable[Row], until: datetime) -> Iterable[Look]:
    for row in patrols:
        at = moment_of(row["at"])
        told: Any = json.loads(str(row["scopes_json"] or "[]"))
        scopes = frozenset(
            Scope(provider=each["provider"], account=each["account"], region=each["region"])
            for each in told
        )
        if at <= until:
            yield Look(at=at, scopes=scopes, acted=row["mode"] == "act")


def _most(times: Sequence[datetime]) -> timedelta:
    """How far apart two patrols may lie with the time between them still being watched."""
    apart = [(b - a).total_seconds() for a, b in pairwise(times)]
    usual = timedelta(seconds=median(apart)) if apart else timedelta()
    return max(LEAST_GAP, USUAL_TIMES * usual)


def _united(spans: Iterable[Span]) -> list[Span]:
    united: list[Span] = []
    for began, ended in sorted(spans):
        if united and began <= united[-1][1]:
            united[-1] = (united[-1][0], max(ended, united[-1][1]))
        else:
            united.append((began, ended))
    return united


def _length(spans: Iterable[Span]) -> timedelta:
    return sum((ended - began for began, ended in spans), timedelta())
