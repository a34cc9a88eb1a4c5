"""A run as the texts of its cells, and the hash of them that names its revision. Pure."""

from collections.abc import Sequence
from datetime import UTC
from hashlib import blake2b
from operator import attrgetter, itemgetter
from typing import Any

from policies.facts import Run
from watchdog.runs.columns import COLUMNS, Cell

NAMES = tuple(column.name for column in COLUMNS)
_values_of = attrgetter(*NAMES)


_PLACES_BY_NAME = sorted(range(len(NAMES)), key=NAMES.__getitem__)
_cells_by_name = itemgetter(*_PLACES_BY_NAME)
_LABELS = tuple(f"{NAMES[place]}=" for place in _PLACES_BY_NAME)


def _places(cell: Cell) -> tuple[int, ...]:
    return tuple(place for place, column in enumerate(COLUMNS) if column.cell is cell)


_TIME_PLACES = _places(Cell.TIME)
_NUMBER_PLACES = _places(Cell.NUMBER)
_INTEGER_PLACES = _places(Cell.INTEGER)
_MONEY_PLACES = _places(Cell.MONEY)


def cells_of(run: Run) -> list[str | None]:
    """A run as the texts that a CSV holds, in the order of `COLUMNS`; None where unknown.

    Each value has one form only: equal runs give equal texts.
    """
    cells: list[Any] = list(_values_of(run))
    for place in _TIME_PLACES:
        if cells[place] is not None:
            cells[place] = cells[place].astimezone(UTC).isoformat()
    for place in _NUMBER_PLACES:
        if cells[place] is not None:
            cells[place] = repr(float(cells[place]) + 0.0)  # never -0.0
    for place in _INTEGER_PLACES:
        if cells[place] is not None:
            cells[place] = str(cells[place])
    for place in _MONEY_PLACES:
        if cells[place] is not None:
            cells[place] = f"{(cells[place] + 0).normalize():f}"
    return cells


def revision_of(cells: Sequence[str | None]) -> str:
    """A hash of all that is known of a run: equal content, equal revision, on any machine.

    Unknown fields leave no trace in it, so that a column which is added later changes no revision;
    nor does the order of the columns.
    """
    by_name = zip(_LABELS, _cells_by_name(cells), strict=True)
    known = "\0".join([label + cell for label, cell in by_name if cell is not None])
    return blake2b(known.encode(), digest_size=16).hexdigest()
