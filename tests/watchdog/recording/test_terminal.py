"""At a terminal: what a person sees and presses is the command's own."""

from __future__ import annotations

import os
import pty
import signal
import sys
import time

from tests.watchdog.recording.process import Desk, until

CTRL_C = b"\x03"
CTRL_Z = b"\x1a"


class Terminal:
    """A shell's terminal, whose session the words lead."""

    def __init__(self, desk: Desk, words: list[str]) -> None:
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.chdir(desk.home)
            os.execve(words[0], words, desk.environment)
        self.seen = b""

    def until_seen(self, text: bytes) -> None:
        until(lambda: text in self._more())

    def press(self, key: bytes) -> None:
        os.write(self.master, key)

    def hang_up(self) -> None:
        os.close(self.master)

    def wait(self) -> int:
        """Its exit code; reads on meanwhile, as a terminal does."""
        while True:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.02)

    def _more(self) -> bytes:
        self.seen += os.read(self.master, 4096)
        return self.seen


def test_all_three_streams_stay_the_terminal(desk: Desk) -> None:
    code = (
        "import os, sys\n"
        "places = {os.ttyname(n) for n in (0, 1, 2)}\n"
        "own = os.tcgetpgrp(2) == os.getpgrp()\n"
        "print(len(places), own, file=sys.stderr)\n"
    )
    terminal = Terminal(desk, desk.words(sys.executable, "-c", code))
    terminal.until_seen(b"1 True")
    assert terminal.wait() == 0
    terminal.hang_up()
    assert desk.how_it_went() == ("succeeded", None)


def test_ctrl_c_stops_it(desk: Desk) -> None:
    terminal = Terminal(desk, desk.words("sh", "-c", "echo ready; exec sleep 60"))
    terminal.until_seen(b"ready")
    terminal.press(CTRL_C)
    assert terminal.wait() == 128 + 2
    terminal.hang_up()
    assert desk.how_it_went() == ("cancelled", "user")


def test_ctrl_z_and_on_again(desk: Desk) -> None:
    """Job control is the shell's: the whole job stops, and goes on."""
    words = " ".join(f"'{word}'" for word in desk.words("sh", "-c", "echo ready; sleep 1; exit 5"))
    script = f"set -m; {words}; echo stopped=$?; fg >/dev/null; echo ended=$?"
    terminal = Terminal(desk, ["/bin/bash", "-c", script])
    terminal.until_seen(b"ready")
    terminal.press(CTRL_Z)
    terminal.until_seen(b"stopped=148")
    terminal.until_seen(b"ended=5")
    assert terminal.wait() == 0
    terminal.hang_up()
    assert desk.how_it_went()[0] == "failed"


def test_one_that_outlives_its_terminal(desk: Desk) -> None:
    code = "trap '' HUP; echo ready; sleep 1.5; echo into nowhere; touch done; exit 0"
    terminal = Terminal(desk, desk.words("sh", "-c", code))
    terminal.until_seen(b"ready")
    terminal.hang_up()
    terminal.wait()
    assert (desk.home / "done").exists()
    assert desk.how_it_went() == ("succeeded", None)


def test_one_that_its_closing_terminal_ends(desk: Desk) -> None:
    terminal = Terminal(desk, desk.words("sh", "-c", "echo ready; exec sleep 60"))
    terminal.until_seen(b"ready")
    terminal.hang_up()
    assert terminal.wait() == 128 + signal.SIGHUP
    assert desk.how_it_went() == ("cancelled", "user")
