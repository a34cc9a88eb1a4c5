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
from datetime import UTC, datetime
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

    def newest(self) -> dict[str, Kept]:
        """By machine, its newest incident, open or ended. One listing, and a read an object."""
        numbers: dict[str, list[str]] = defaultdict(list)
        for key in self._ledger.objects(FOLDER):
            numbers[key.rsplit("/", 1)[0]].append(key)
        folders: dict[str, str] = {}
        for folder in sorted(numbers, key=_opened):
            folders[_machine(folder)] = folder
        with ThreadPoolExecutor(max_workers=READERS) as pool:
            found = pool.map(lambda folder: self._read(folder, numbers[folder]), folders.values())
            return dict(zip(folders, found, strict=True))

    def of(self, machine: str) -> list[Kept]:
        """All incidents of one machine, oldest first."""
        numbers: dict[str, list[str]] = defaultdict(list)
        for key in self._ledger.objects(f"{FOLDER}/{machine}"):
            numbers[key.rsplit("/", 1)[0]].append(key)
        return [self._read(folder, numbers[folder]) for folder in sorted(numbers, key=_opened)]

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
        _, machine, boot, opened = folder.split("/")
        events, head = [], NOTHING_BEFORE
        for n, key in enumerate(sorted(keys)):
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
            opened_at=datetime.strptime(opened, STAMP).replace(tzinfo=UTC),
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
