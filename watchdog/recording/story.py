"""What is told of one run, from its start to its end, beside the command."""

from __future__ import annotations

import getpass
import os
import socket
import tempfile
import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING

from policies.facts import Run
from providers.identity import Identity, whoami
from providers.local.host import counters
from watchdog.recording.command import Command
from watchdog.recording.ending import Verdict
from watchdog.recording.fingerprints import Fingerprints, fingerprints
from watchdog.recording.launchers import Launch, launch_of, workload_of
from watchdog.recording.order import Order
from watchdog.recording.process_id import this_process
from watchdog.recording.run_object import Place, Start, end_event, row_of, run_of
from watchdog.recording.sampling import Sampling

if TYPE_CHECKING:
    from watchdog.agent.sender import Sender
    from watchdog.recording.posting import Letters

HEARTBEAT_S = 600.0
"""A run that is silent for several of these is lost."""
FACTS_S = 10.0
"""How long an end waits for what is still being found out of the start."""
LAST_TRY_S = 8.0
LAST_TRY_OF_A_SILENT_LEDGER_S = 3.0
AHEAD = timedelta(days=1)
"""An error of another rank is dated so far ahead that no word of the first rank is newer: where one
rank failed the step failed, though the first was only ended for it, or went on."""


class Story:
    """Not to be used by two threads at once, but for `tell` beside `end`."""

    def __init__(self, order: Order, command: Command) -> None:
        self._order = order
        self._command = command
        self._launch = launch_of(os.environ)
        self._start = _start(order, command, self._launch)
        self._place = Place(host=socket.gethostname())
        self._prints = Fingerprints()
        self._sent_before = _sent_bytes()
        self._sampling = Sampling(command.pid, command.elapsed_s)
        self._observed_at = command.started_at
        self._known = threading.Event()
        self._ending = threading.Event()
        self._folder: Path | None = None
        self._lock: IO[str] | None = None
        self._letters: Letters | None = None
        self._sender: Sender | None = None
        self.told = False
        """Whether the last word is in the folder at least, or needs not be said."""
        self.troubles: list[str] = []

    def tell(self) -> None:
        """The start, then a heartbeat now and then. Runs in a thread of its own."""
        ledger = None
        try:
            self._sampling.start()
            identity = _beside(whoami)
            ledger = self._open()
            self._prints = fingerprints(self._order.words, folder=_here(), asked=self._order.asked)
            self._place = _place(self._place, identity())
            self._tell_running()
        except Exception as error:  # noqa: BLE001 - the command must not suffer from it
            self.troubles.append(f"the run cannot be told: {error}")
        finally:
            self._known.set()
        if ledger is not None and not self._ending.is_set():
            self._send_left_behind(ledger)
        while not self._ending.wait(HEARTBEAT_S):
            self._tell_running()

    def end(self, exit_code: int, verdict: Verdict) -> None:
        """The last word. Waits for a slow ledger for seconds only: it is kept in a folder first."""
        self._ending.set()
        self._known.wait(FACTS_S)
        self._sampling.end()
        if self._letters is None or not self._worth_telling(verdict):
            return
        run = self._ended(verdict)
        observed_at = self._observed()
        if self._launch.rank:
            observed_at += AHEAD
        self._letters.write("runs", [row_of(run, observed_at)])
        event = end_event(run, self._sampling.told(), exit_code=exit_code, observed_at=observed_at)
        self._letters.write("events", [event])
        self.told = True
        self._send()

    def kept_in(self) -> Path | None:
        """Where words of this run still wait; None: all were sent, and the folder is gone."""
        from watchdog.recording import posting  # noqa: PLC0415 - known already by then

        if self._folder is None:
            return None
        waiting = None if posting.cleared(self._folder) else self._folder
        if self._lock is not None:
            self._lock.close()
        return waiting

    def _open(self) -> str | None:
        """Settings, the folder, the first word there; the ledger's address where it is known."""
        from watchdog.agent.spool import Spool  # noqa: PLC0415 - the command starts first
        from watchdog.recording import posting  # noqa: PLC0415

        state, ledger = _settings(self._order, self.troubles.append)
        name = f"{self._start.run_id}-{os.getpid()}"
        try:
            self._folder, self._lock = posting.own(posting.folder_of(state, ledger) / name)
        except OSError:  # a home that is read-only, as in many containers
            self._folder, self._lock = posting.own(Path(tempfile.mkdtemp()) / name)
        spool = Spool(self._folder)
        self._letters = posting.Letters(spool, self._start.run_id, self._start.started_at)
        self._tell_running()
        if ledger is not None:
            inbox = posting.dropbox(ledger, region=self._region)
            self._sender = posting.sender_of(spool, inbox, self.troubles.append)
        return ledger

    def _tell_running(self) -> None:
        """Other ranks of a step leave that to the first."""
        if self._letters is None or self._launch.rank:
            return
        with suppress(OSError):
            self._letters.write("runs", [row_of(self._run(), self._observed())])
        if self._sender is not None:
            self._sender.wake()

    def _run(self) -> Run:
        return run_of(self._start, self._place, self._prints, self._sampling.told())

    def _ended(self, verdict: Verdict) -> Run:
        ended_at = self._command.ended_at()
        return replace(
            self._run(),
            outcome=verdict.outcome,
            cause=verdict.cause,
            error=verdict.error,
            ended_at=ended_at,
            sent_bytes=_difference(self._sent_before, _sent_bytes()),
        )

    def _observed(self) -> datetime:
        """Newer than all that was said before."""
        least = self._observed_at + timedelta(microseconds=1)
        self._observed_at = max(least, self._command.now())
        return self._observed_at

    def _worth_telling(self, verdict: Verdict) -> bool:
        """The first rank tells of the whole step, another one of an error of its own."""
        return not self._launch.rank or verdict.by_itself

    def _send(self) -> None:
        if self._sender is None:
            return
        patience_s = LAST_TRY_OF_A_SILENT_LEDGER_S if self.troubles else LAST_TRY_S
        self._sender.wake()
        self._sender.finish(patience_s)

    def _send_left_behind(self, ledger: str) -> None:
        from watchdog.recording import posting  # noqa: PLC0415

        with suppress(Exception):  # they stay where they are
            posting.send_left_behind(_state_folder(), ledger, posting.dropbox(ledger))

    def _region(self) -> str | None:
        return self._place.region if self._place.provider == "aws" else None


def _start(order: Order, command: Command, launch: Launch) -> Start:
    process = this_process()
    aliases = launch.aliases if process is None else (*launch.aliases, process.text())
    named = order.workload or launch.workload
    return Start(
        run_id=_run_id(launch),
        workload=named or workload_of(order.words, str(_here())),
        started_at=command.started_at,
        group=order.group,
        owner=_user(),
        kind=order.kind,
        data_class=order.data_class,
        nodes=launch.nodes,
        gpus=launch.gpus,
        copies=launch.tasks or launch.nodes or 1,
        aliases=aliases,
    )


def _run_id(launch: Launch) -> str:
    """The same for all ranks of one step."""
    if launch.step is None:
        return f"record-{uuid.uuid4().hex}"
    cluster = os.environ.get("SLURM_CLUSTER_NAME", "cluster")
    return f"record-slurm-{cluster}-{launch.step}-{launch.restarts}"


def _settings(order: Order, say: Callable[[str], None]) -> tuple[Path, str | None]:
    """The folder for what waits, and the ledger; None: the settings are wrong."""
    from watchdog.ledger.failures import LedgerError  # noqa: PLC0415 - they are slow
    from watchdog.ledger.location import located  # noqa: PLC0415
    from watchdog.settings import SettingsError, load_settings  # noqa: PLC0415

    try:
        ledger = load_settings(order.config, ledger=order.ledger).ledger
        located(ledger, {})
    except (SettingsError, LedgerError) as error:
        say(str(error))
        return _state_folder(), None
    return _state_folder(), ledger


def _state_folder() -> Path:
    from watchdog.recording.state import state_folder  # noqa: PLC0415

    return state_folder()


def _beside(ask: Callable[[], object]) -> Callable[[], object]:
    """Ask in a thread of its own; what is returned waits for the answer."""
    told: list[object] = []
    thread = threading.Thread(target=lambda: told.append(ask()), name="beside", daemon=True)
    thread.start()

    def answer() -> object:
        thread.join()
        return told[0] if told else None

    return answer


def _place(place: Place, identity: object) -> Place:
    if not isinstance(identity, Identity):
        provider = getattr(identity, "provider", None)
        return replace(place, provider=provider, location="cloud" if provider else None)
    return replace(
        place,
        location="local" if identity.provider == "local" else "cloud",
        provider=identity.provider,
        region=identity.region,
        machine_type=identity.machine_type,
        machine_id=identity.machine,
    )


def _here() -> Path:
    """The current folder; it may have been deleted meanwhile."""
    try:
        return Path.cwd()
    except OSError:
        return Path("/")


def _user() -> str | None:
    with suppress(Exception):  # a user id without a name, as containers have
        return getpass.getuser()
    return None


def _sent_bytes() -> int | None:
    told = counters()
    return None if told is None else told.sent_bytes


def _difference(before: int | None, after: int | None) -> int | None:
    """None for a counter that went back."""
    if before is None or after is None or after < before:
        return None
    return after - before
