"""The table of complaints is whole, and the tests that it names exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
TABLE = TESTS.parent / "docs" / "complaints.md"
SCENARIOS = "scenarios/test_complaints.py"
CELLS = 6


def complaints() -> dict[int, list[str]]:
    """By number, the cells of each row."""
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in lines
        if re.match(r"\| \d+ \|", line)
    ]
    numbers = [int(row[0]) for row in cells]
    assert len(set(numbers)) == len(numbers)
    return dict(zip(numbers, cells, strict=True))


@cache
def scenarios_of(file: str) -> frozenset[str]:
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    return frozenset(
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )


def named_in(cells: list[str]) -> list[tuple[str, str]]:
    """File and name of each test of a row."""
    named = [each.rpartition("::") for each in re.findall(r"`([^`]+)`", cells[-1])]
    return [(file or SCENARIOS, name) for file, _, name in named]


def test_each_of_the_thirty_one_has_a_row() -> None:
    assert list(complaints()) == list(range(1, 32))
    assert {len(cells) for cells in complaints().values()} == {CELLS}


@pytest.mark.parametrize("number", range(1, 32))
def test_a_row_says_how_it_is_met_by_tests_that_exist(number: int) -> None:
    cells = complaints()[number]
    met, how = cells[3], cells[4]
    assert met in {"met", "partly", "no"}
    assert how
    named = named_in(cells)
    assert named or met == "no"
    for file, name in named:
        assert name in scenarios_of(file), f"{file} has no {name}"


def test_every_scenario_of_a_complaint_stands_in_its_row() -> None:
    tree = ast.parse((TESTS / SCENARIOS).read_text(encoding="utf-8"))
    rows = complaints()
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef) or not node.name.startswith("test_"):
            continue
        told = re.match(r"\d+", ast.get_docstring(node) or "")
        assert told is not None, f"{node.name} does not say whose scenario it is"
        assert (SCENARIOS, node.name) in named_in(rows[int(told[0])]), node.name
