"""A run's words on their way: into a folder first, from there into the ledger's inbox.

Each run has a folder of its own, locked while its wrapper lives. What a wrapper could not send,
the next one, or the next command that may write, sends in its place.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING

from watchdog.agent.sender import Sender
from watchdog.agent.spool import Spool
from watchdog.ledger.dropbox import Dropbox
from watchdog.ledger.inbox import letter_text
from watchdog.ledger.location import located
from watchdog.recording.state import state_folder

if TYPE_CHECKING:
    from watchdog.agent.sender import Inbox

UNSETTLED = "unsettled"
"""The folder of runs whose settings could not be read: they go to the next ledger that is named."""

OWN_TRIES = 20

Row = Mapping[str, object]


def folder_of(state: Path, ledger: str | None) -> Path:
    """Where runs wait for a ledger; None: nobody knows for which. Raises `LedgerUrlError`."""
    if ledger is None:
        return state / UNSETTLED
    place = located(ledger, {})
    name = str(place.folder or place.url)
    return state / hashlib.sha256(name.encode()).hexdigest()[:16]


class Letters:
    """The newest word on one run. An older one that was not sent yet is thrown away."""

    def __init__(self, spool: Spool, run_id: str, started_at: datetime) -> None:
        self._spool = spool
        self._name = f"{started_at:%Y%m%dT%H%M%SZ}-{run_id}"
        self._written: dict[str, list[str]] = {}

    def write(self, table: str, rows: Sequence[Row]) -> None:
        before = self._written.setdefault(table, [])
        name = f"{table}-{self._name}-{len(before):06}"
        self._spool.put(name, letter_text(table, rows))
        for older in before[-1:]:
            self._spool.remove(older)
        before.append(name)


@contextmanager
def held(folder: Path) -> Iterator[bool]:
    """Whether the folder is this process's own now; it stays so until the end of the block."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        yield _taken(folder, lock.fileno())


def own(folder: Path) -> tuple[Path, IO[str]]:
    """A folder that no other process has, and its lock, to be kept open. Raises `OSError`."""
    for _ in range(OWN_TRIES):  # who sends what was left behind may clear it away again
        folder.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            lock = (folder / "lock").open("w")
            if _taken(folder, lock.fileno()):
                return folder, lock
            lock.close()
    raise OSError(f"{folder}: another process holds it")


def _taken(folder: Path, lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.fstat(lock).st_ino == (folder / "lock").stat().st_ino
    except OSError:
        return False


def dropbox(ledger: str, *, region: Callable[[], str | None] = lambda: None) -> Dropbox:
    """Raises `LedgerUrlError` for an address that cannot be one."""
    return Dropbox(ledger, region=region, with_sdk=_has_profiles())


def send_left_behind(state: Path, ledger: str, inbox: Inbox) -> None:
    """Send what wrappers that are gone could not send. What fails now stays for later."""
    for above in (folder_of(state, ledger), folder_of(state, None)):
        for folder in _folders(above):
            with suppress(OSError), held(folder) as ours:
                if ours and _sent(folder, inbox):
                    _remove(folder)


def sender_of(spool: Spool, inbox: Inbox, say: Callable[[str], None]) -> Sender:
    return Sender(spool=spool, inbox=inbox, still_open=tuple, clock=_now, say=say)


def cleared(folder: Path) -> bool:
    """Whether nothing waits in the folder any more; then it is removed."""
    with suppress(OSError):
        if not folder.is_dir() or Spool(folder).names():
            return not folder.is_dir()
        _remove(folder)
        return True
    return False


def _sent(folder: Path, inbox: Inbox) -> bool:
    return sender_of(Spool(folder), inbox, lambda text: None).send()  # noqa: ARG005


def _folders(above: Path) -> list[Path]:
    with suppress(OSError):
        return sorted(each for each in above.iterdir() if each.is_dir())
    return []


def _remove(folder: Path) -> None:
    (folder / "lock").unlink(missing_ok=True)
    folder.rmdir()


def catch_up(ledger: str) -> None:
    """What wrappers on this machine could not send goes to the ledger that is open now."""
    state = state_folder()
    if _folders(folder_of(state, ledger)) or _folders(folder_of(state, None)):
        send_left_behind(state, ledger, dropbox(ledger))


def _has_profiles() -> bool:
    """Whether this user's AWS credentials lie where only the SDK looks for them."""
    if "AWS_PROFILE" in os.environ:
        return True
    return any(Path("~/.aws", name).expanduser().is_file() for name in ("config", "credentials"))


def _now() -> datetime:
    return datetime.now(UTC)
