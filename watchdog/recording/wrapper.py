"""The wrapper's life: start the command, tell of it beside it, and end as it ended."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING

from watchdog.recording.command import CannotStartError, Command, started
from watchdog.recording.ending import Ended, Verdict, verdict
from watchdog.recording.kernel_memory import memory_kills
from watchdog.recording.launchers import launch_of
from watchdog.recording.order import Order
from watchdog.recording.signatures import lines_of, told_by

if TYPE_CHECKING:
    from watchdog.recording.story import Story

ASKED_LATELY_S = 600.0
"""A signal explains an end that comes within so long: a checkpoint may have to be written."""


def record(order: Order) -> int:
    """Run the command; its exit code, or 127 or 126 where it cannot be started."""
    launch = launch_of(os.environ)
    if launch.rank and launch.step is None:
        return _stand_aside(order)
    kills = memory_kills()
    try:
        command = started(order.words)
    except CannotStartError as error:
        say(str(error))
        return error.exit_code
    story = _begun(order, command)
    code = command.wait()
    if story is not None:
        try:
            with suppress(_HurryError):
                signal.signal(signal.SIGINT, _hurry)
                story.end(code, _verdict(command, code, kills))
            _tell_troubles(story)
        except Exception as error:  # noqa: BLE001 - the exit code must be the command's own
            say(f"the run is not recorded: {error}")
    return code


def _begun(order: Order, command: Command) -> Story | None:
    from watchdog.recording.story import Story  # noqa: PLC0415 - the command starts first

    try:
        story = Story(order, command)
        threading.Thread(target=story.tell, name="story", daemon=True).start()
    except Exception as error:  # noqa: BLE001 - the command runs already, and is waited for
        say(f"the run is not recorded: {error}")
        return None
    return story


def _tell_troubles(story: Story) -> None:
    """Nothing where all went well: what the command wrote stands alone."""
    waiting = story.kept_in()
    if waiting is not None:
        why = f"{story.troubles[-1]}; " if story.troubles else ""
        say(f"{why}the run waits in {waiting} for the next `record`, `runs list` or patrol here")
    elif story.troubles and not story.told:
        say(story.troubles[-1])


def say(text: str) -> None:
    """The terminal may be gone."""
    with suppress(OSError, ValueError):
        print(f"spend-watchdog record: {text}", file=sys.stderr, flush=True)  # noqa: T201


def _stand_aside(order: Order) -> int:
    """Another rank of a job that the first one records: nothing comes between."""
    try:
        os.execvp(order.words[0], list(order.words))  # noqa: S606 - no shell may come between
    except FileNotFoundError:
        say(f"{order.words[0]}: there is no such command")
        return 127
    except OSError as error:
        say(f"{order.words[0]}: cannot be started: {error.strerror}")
        return 126


def _verdict(command: Command, code: int, kills_before: int | None) -> Verdict:
    tail = command.errors.tail()
    kills = memory_kills()
    meanwhile = None if kills is None or kills_before is None else kills - kills_before
    return verdict(
        Ended(
            exit_code=code,
            received=command.received_within(ASKED_LATELY_S),
            told=told_by(lines_of(tail)),
            memory_kills=meanwhile,
        )
    )


class _HurryError(Exception):
    """Somebody pressed Ctrl-C after the end: what is not sent yet is sent another time."""


def _hurry(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise _HurryError
