"""The table of columns and the value that it fills cannot drift apart."""

from dataclasses import MISSING, fields

from policies.facts import Run
from watchdog.runs.cells import READERS
from watchdog.runs.columns import COLUMN, COLUMNS, REQUIRED, Cell


def test_columns_are_the_fields_of_a_run_in_its_order() -> None:
    assert [column.name for column in COLUMNS] == [field.name for field in fields(Run)]


def test_required_columns_are_the_fields_without_a_default() -> None:
    required = [field.name for field in fields(Run) if field.default is MISSING]

    assert list(REQUIRED) == required == ["run_id", "workload", "started_at", "outcome"]


def test_every_column_says_what_it_means_and_every_figure_its_unit() -> None:
    figures = [each for each in COLUMNS if each.cell in (Cell.INTEGER, Cell.NUMBER, Cell.MONEY)]

    assert all(column.meaning.endswith(".") for column in COLUMNS)
    assert [each.name for each in figures if each.unit is None] == ["metric_value"]


def test_every_word_is_read_as_itself() -> None:
    words = [(column.name, word) for column in COLUMNS for word in column.words]

    assert words
    assert all(READERS[name](str(word)) == word for name, word in words)
    assert {name for name, _ in words} == {
        name for name, column in COLUMN.items() if column.cell is Cell.WORD
    }
