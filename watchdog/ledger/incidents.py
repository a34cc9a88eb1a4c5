"""Incidents: streams of objects that are created once, each with the hash of the one before.

Who writes event n first has it; whoever loses reads again. So the stream itself is the claim.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from policies.facts import Machine
from policies.ladder import EventKind, Incident, IncidentEvent, fold
from watchdog.ledger.failures import LedgerError

if TYPE_CHECKING:
    from watchdog.ledger.store import Ledger

FOLDER = "incidents"
SCHEMA = "spend-watchdog/incident/1"
STAMP = "%Y%m%dT%H%M%SZ"
READERS = 16
ONE_SECOND = timedelta(seconds=1)
NOTHING_BEFORE = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One incident as it lies in the ledger."""

    key: str
    """Its folder."""
    incident: Incident
    events: tuple[IncidentEvent, ...]
    head: str
    """Hash of its last object."""


class IncidentLog:
    """Reads and extends the incidents of a ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._listed: dict[str, set[str]] = defaultdict(set)
        """By machine, the incidents that the last listing showed."""
        self.broken: dict[str, str] = {}
        """By machine, why an incident of it cannot be read: nobody may act on it."""

    def unended(self, ended: Mapping[str, int]) -> dict[str, list[Kept]]:
        """By machine, its incidents that may be open, oldest first.

        `ended`: how many events each incident has that is known to have ended, so that it need not
        be read again. One listing, and a read an object of the others.
        """
        numbers = self._numbers(FOLDER)
        live = [key for key in sorted(numbers, key=_opened) if len(numbers[key]) != ended.get(key)]
        with ThreadPoolExecutor(max_workers=READERS) as pool:
            read = list(pool.map(lambda key: self._tried(key, numbers[key]), live))
        found: dict[str, list[Kept]] = defaultdict(list)
        for key, kept in zip(live, read, strict=True):
            if isinstance(kept, Kept):
                found[_machine(key)].append(kept)
            else:
                self.broken[_machine(key)] = str(kept)
        return dict(found)

    def begin(self, machine: Machine, paused_at: datetime, by: str, now: datetime) -> Kept | None:
        """A new incident where no other one is open; None: another patrol was faster.

        Two that listed the same incidents choose the same name, and the store lets one have it. Two
        that did not see each other's look again: whoever sees a rival gives way.
        """
        known = set(self._listed[machine.id])
        boot = f"{FOLDER}/{machine.id}/{machine.boot}/"
        earlier = [_opened_at(key) for key in known if key.startswith(boot)]
        opened = max([paused_at, *(at + ONE_SECOND for at in earlier)])
        begun = self.open(machine, opened, by, now)
        if begun is None:
            return None
        numbers = self._numbers(f"{FOLDER}/{machine.id}")
        for key in numbers.keys() - known - {begun.key}:
            rival = self._tried(key, numbers[key])
            if not isinstance(rival, Kept) or rival.incident.open:
                why = f"{key} was begun at the same time"
                self.write(begun, EventKind.CLOSED, by, now, {"why": why})
                return None
        return begun

    def of(self, machine: str) -> list[Kept]:
        """All incidents of one machine, oldest first."""
        numbers = self._numbers(f"{FOLDER}/{machine}")
        return [self._read(key, numbers[key]) for key in sorted(numbers, key=_opened)]

    def _numbers(self, prefix: str) -> dict[str, list[str]]:
        """By incident, the keys of its events, in their order."""
        numbers: dict[str, list[str]] = defaultdict(list)
        for key in self._ledger.objects(prefix):
            folder = key.rsplit("/", 1)[0]
            numbers[folder].append(key)
            self._listed[_machine(folder)].add(folder)
        return {folder: sorted(keys, key=_number) for folder, keys in numbers.items()}

    def _tried(self, key: str, keys: Sequence[str]) -> Kept | LedgerError:
        try:
            return self._read(key, keys)
        except LedgerError as error:
            return error

    def open(self, machine: Machine, paused_at: datetime, by: str, now: datetime) -> Kept | None:
        """A new incident of this pause; None: another patrol was faster."""
        opened = paused_at.astimezone(UTC).replace(microsecond=0)
        key = f"{FOLDER}/{machine.id}/{machine.boot}/{opened:{STAMP}}"
        fresh = Kept(
            key=key,
            incident=Incident(machine=machine.id, boot=machine.boot, opened_at=opened),
            events=(),
            head=NOTHING_BEFORE,
        )
        return self.write(fresh, EventKind.OPENED, by, now, {"paused_at": opened.isoformat()})

    def write(
        self,
        kept: Kept,
        kind: EventKind,
        by: str,
        now: datetime,
        detail: Mapping[str, str],
    ) -> Kept | None:
        """The incident with one more event; None: another one was written first."""
        n = kept.incident.n
        event = IncidentEvent(n=n, at=now, kind=kind, by=by, detail=detail)
        body = _body(event, kept.head)
        if not self._ledger.put_once(f"{kept.key}/{n:04d}.json", body):
            return None
        return replace(
            kept,
            incident=fold(kept.incident, [event]),
            events=(*kept.events, event),
            head=_hash(body),
        )

    def _read(self, folder: str, keys: Sequence[str]) -> Kept:
        _, machine, boot, _ = folder.split("/")
        events, head = [], NOTHING_BEFORE
        for n, key in enumerate(keys):
            body = self._ledger.get_object(key)
            told = _told(body, key)
            if told["n"] != n or told["previous"] != head:
                raise LedgerError(
                    f"ledger {self._ledger.url}: {key} does not follow the one before it:"
                    " somebody changed or removed events of this incident"
                )
            events.append(_event(told))
            head = _hash(body)
        fresh = Incident(
            machine=machine,
            boot=boot,
            opened_at=_opened_at(folder),
        )
        return Kept(key=folder, incident=fold(fresh, events), events=tuple(events), head=head)


def event_rows(kept: Kept) -> list[dict[str, object]]:
    """Its events as rows of the table `events`, so that every question can be asked of tables."""
    return [
        {
            "subject": kept.key,
            "n": f"{event.n:04d}",
            "at": event.at,
            "kind": event.kind.value,
            "machine": kept.incident.machine,
            "boot": kept.incident.boot,
            "detail_json": json.dumps({"by": event.by, **event.detail}),
            "observed_at": event.at,
        }
        for event in kept.events
    ]


def _opened(folder: str) -> tuple[str, str]:
    parts = folder.split("/")
    return (parts[-1], folder)


def _opened_at(folder: str) -> datetime:
    return datetime.strptime(folder.rsplit("/", 1)[-1], STAMP).replace(tzinfo=UTC)


def _number(key: str) -> int:
    """More than 9999 events have longer numbers; a name that is no number comes first."""
    name = key.rsplit("/", 1)[-1].removesuffix(".json")
    return int(name) if name.isdecimal() else -1


def _machine(folder: str) -> str:
    return folder.split("/")[1]


def _hash(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _body(event: IncidentEvent, previous: str) -> bytes:
    told = {
        "schema": SCHEMA,
        "n": event.n,
        "at": event.at.isoformat(),
        "kind": event.kind.value,
        "by": event.by,
        "detail": dict(event.detail),
        "previous": previous,
    }
    return json.dumps(told, sort_keys=True).encode()


def _told(body: bytes, key: str) -> Mapping[str, Any]:
    try:
        told = json.loads(body)
        if told["schema"] != SCHEMA:
            raise LedgerError(f"{key} is not of the schema {SCHEMA}")
        return dict(told)
    except (ValueError, KeyError, TypeError) as error:
        raise LedgerError(f"{key} is no event of an incident ({error})") from None


def _event(told: Mapping[str, Any]) -> IncidentEvent:
    return IncidentEvent(
        n=int(told["n"]),
        at=datetime.fromisoformat(told["at"]),
        kind=EventKind(told["kind"]),
        by=str(told["by"]),
        detail={str(name): str(value) for name, value in told["detail"].items()},
    )
