"""The lines of a text file, packed or not, with their numbers and how far the disk was read."""

import gzip
import zlib
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, cast

BOM = b"\xef\xbb\xbf"
UTF_16_BOMS = (b"\xff\xfe", b"\xfe\xff")
GZIP = b"\x1f\x8b"
LONGEST_LINE = 16 * 2**20
"""Bytes. A longer line is no row, and memory has to stay bounded."""


class RunFileError(Exception):
    """A file that cannot be read as a whole: nothing of it enters."""

    exit_code = 1


class TextLines(Iterator[str]):
    """Iterates over lines, their ends kept. Lines of a broken record can be given back.

    Bytes that are not UTF-8 arrive as lone surrogates: one bad cell does not cost its file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open_files = ExitStack()
        self._given_back: deque[str] = deque()
        self._record: list[str] = []
        self.number = 0
        """Of the line that was given last; the first is 1."""

    def __enter__(self) -> Self:
        self._raw = self._open_files.enter_context(self._path.open("rb"))
        start = self._raw.peek(4)
        if start.startswith(GZIP):
            packed = self._open_files.enter_context(gzip.GzipFile(fileobj=self._raw))
            self._lines: BinaryIO = cast("BinaryIO", packed)
        else:
            self._lines = self._raw
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open_files.close()

    def __next__(self) -> str:
        line = self._given_back.popleft() if self._given_back else self._read()
        if not line:
            raise StopIteration
        self.number += 1
        self._record.append(line)
        return line

    def bytes_read(self) -> int:
        """Of the file as it lies on the disk."""
        return self._raw.tell()

    def begin_record(self) -> None:
        self._record.clear()

    def give_back_all_but_first(self) -> None:
        """The lines of the current record but its first will be given again."""
        self.number -= len(self._record) - 1
        self._given_back.extendleft(reversed(self._record[1:]))
        self._record.clear()

    def _read(self) -> str:
        try:
            raw = self._lines.readline(LONGEST_LINE)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise RunFileError(
                f"{self._path}: the gzip data is damaged after line {self.number}: {error}; "
                "copy the file again"
            ) from error
        if len(raw) == LONGEST_LINE and not raw.endswith(b"\n"):
            raise RunFileError(
                f"{self._path}:{self.number + 1}: the line is longer than 16 MiB; "
                "write one run in a line"
            )
        if self.number == 0:
            raw = self._without_bom(raw)
        return raw.decode("utf-8", "surrogateescape")

    def _without_bom(self, raw: bytes) -> bytes:
        if raw.startswith(UTF_16_BOMS):
            raise RunFileError(f"{self._path}: is UTF-16; save it as UTF-8")
        return raw.removeprefix(BOM)
