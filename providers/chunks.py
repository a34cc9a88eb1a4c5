"""Long lists in parts that one question can hold."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def chunks(items: Sequence[T], size: int) -> Iterator[list[T]]:
    """In order, all of `size` but the last."""
    for begin in range(0, len(items), size):
        yield list(items[begin : begin + size])
