"""Anybody can write a run history or a tag: no name may steer the terminal it is shown on."""

import unicodedata
from pathlib import Path

import pytest

from tests.watchdog.cli.shells import Shell, on_a_terminal, runs_file

EVIL = "\x1b[31mred\x07\x9b2J\u202egpj.exe\x1b]0;owned\x07"
SHOWN = "redgpj.exe"
TWO_LINES = "one\nTotal: nothing"


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    shell = Shell(tmp_path, {})
    assert shell("runs", "import", runs_file(tmp_path, EVIL, TWO_LINES)).code == 0
    return shell


def steering(text: str) -> set[str]:
    return {
        character
        for character in text
        if character != "\n" and unicodedata.category(character) in {"Cc", "Cf", "Zl", "Zp"}
    }


@pytest.mark.parametrize(
    "command",
    [
        ("workloads",),
        ("workloads", "--format", "csv"),
        ("runs", "list"),
        ("runs", "list", "--format", "csv"),
        ("explain", EVIL),
        ("explain", EVIL[:-3]),
        ("costs",),
    ],
)
def test_no_command_lets_a_name_steer_the_terminal(shell: Shell, command: tuple[str, ...]) -> None:
    done = shell(*command)
    assert not steering(done.out + done.err)
    if command[0] != "costs":
        assert SHOWN in done.out + done.err


def test_a_break_in_a_name_makes_no_second_line(shell: Shell) -> None:
    assert not any(line.startswith("Total") for line in shell("explain", TWO_LINES).out.split("\n"))
    (row,) = [
        line
        for line in shell("workloads", "--format", "csv").out.splitlines()
        if "Total: nothing" in line
    ]
    assert row.startswith("one Total: nothing,")


def test_json_holds_the_name_as_it_is_and_escapes_what_steers(shell: Shell) -> None:
    done = shell("runs", "list", "--json")
    assert {row["workload"] for row in done.json["rows"]} == {EVIL, TWO_LINES}
    assert not steering(done.out)


def test_on_a_terminal_too(shell: Shell, tmp_path: Path) -> None:
    told = "\n".join(on_a_terminal(tmp_path, "workloads"))
    assert "red" in told
    assert not steering(told)
