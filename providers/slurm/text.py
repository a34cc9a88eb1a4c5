"""The lines that `sacct -P` prints, and their cells. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, tzinfo

from providers.slurm.jobs import Row
from providers.slurm.states import bare_state

NOTHING = frozenset({"", "none", "unknown", "invalid", "n/a", "(null)"})
NEEDED = ("JobID", "State", "Start", "End")
SHOWN_CHARACTERS = 120
DELIMITERS = ("|", "\x1f", "\t", ";", ",", "^", "~")
COLUMN_SETS: Mapping[str, tuple[str, ...]] = {
    "xdmod": (
        *("JobID", "JobIDRaw", "Cluster", "Partition", "QOS", "Account", "Group", "GID", "User"),
        *("UID", "Submit", "Eligible", "Start", "End", "Elapsed", "ExitCode", "State", "NNodes"),
        *("NCPUS", "ReqCPUS", "ReqMem", "ReqTRES", "AllocTRES", "Timelimit", "NodeList"),
        "JobName",
    ),
}
"""Exports without a header. xdmod: the `--format` of Open XDMoD's guide to Slurm."""


class CellError(ValueError):
    """A cell that cannot be understood."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(why)
        self.field = field


class Columns:
    """Where each field stands in a line."""

    def __init__(self, names: Sequence[str], delimiter: str) -> None:
        """Raises `CellError` where one is missing that nothing can be said without."""
        self._place = {name.strip().lower(): place for place, name in enumerate(names)}
        self._width = len(names)
        self._name_is_last = names[-1].strip().lower() == "jobname"
        self.delimiter = delimiter
        missing = [name for name in NEEDED if name.lower() not in self._place]
        if missing:
            found = ", ".join(name.strip() for name in names)
            shown = found if len(found) <= SHOWN_CHARACTERS else f"{found[:SHOWN_CHARACTERS]}…"
            raise CellError("header", f"lacks {', '.join(missing)}; it has {shown}")

    @property
    def tell_the_cluster(self) -> bool:
        return "cluster" in self._place

    def cells(self, line: str) -> list[str]:
        cells = line.rstrip("\r\n").split(self.delimiter)
        if len(cells) == self._width + 1 and not cells[-1]:
            cells.pop()  # `sacct -p` ends each line with a delimiter
        if len(cells) > self._width and self._name_is_last:
            last = self.delimiter.join(cells[self._width - 1 :])
            cells[self._width - 1 :] = [last]
        if len(cells) != self._width:
            raise CellError("row", f"has {len(cells)} cells where the header has {self._width}")
        return cells

    def has_local_times(self, line: str) -> bool:
        """Whether the start is a time without an offset."""
        start = known(self.cells(line)[self._place["start"]])
        if start is None or start.isdecimal():
            return False
        return datetime.fromisoformat(start).tzinfo is None

    def row(self, line: str, *, zone: tzinfo, cluster: str) -> Row:
        """Raises `CellError`. `cluster` stands in where the lines do not name it."""
        cells = self.cells(line)

        def cell(name: str) -> str | None:
            place = self._place.get(name.lower())
            return None if place is None else known(cells[place])

        def moment(name: str) -> datetime | None:
            return moment_of(name, cell(name), zone)

        nodes = cell("NNodes") or cell("AllocNodes")
        return Row(
            job_id=cells[self._place["jobid"]].strip(),
            raw_id=cell("JobIDRaw"),
            cluster=cell("Cluster") or cluster,
            state=bare_state(cells[self._place["state"]]),
            name=cell("JobName"),
            user=cell("User"),
            account=cell("Account"),
            submitted_at=moment("Submit"),
            started_at=moment("Start"),
            ended_at=moment("End"),
            nodes=int(nodes) if nodes and nodes.isdecimal() else None,
            node_list=cell("NodeList"),
            tres=cell("AllocTRES") or cell("AllocGRES"),
            exit_code=cell("ExitCode"),
        )


def known(cell: str) -> str | None:
    stripped = cell.strip()
    return None if stripped.lower() in NOTHING else stripped


def moment_of(field: str, told: str | None, zone: tzinfo) -> datetime | None:
    """Seconds since 1970 (SLURM_TIME_FORMAT=%s), or local time of `zone` without an offset."""
    if told is None:
        return None
    try:
        if told.isdecimal():
            return datetime.fromtimestamp(int(told), UTC) if int(told) else None
        at = datetime.fromisoformat(told)
        return (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise CellError(
            field, f"{told!r} is no time like 2026-01-31T14:05:09 or seconds since 1970"
        ) from None


def delimiter_of(header: str) -> str:
    """The sign that stands most often in it."""
    return max(DELIMITERS, key=header.count)


def names_of(columns: str) -> tuple[str, ...]:
    """A set's name, or fields with commas between."""
    found = COLUMN_SETS.get(columns.strip().lower())
    return found or tuple(name.strip() for name in columns.split(",") if name.strip())


def numbered(lines: Iterator[str], first: int) -> Iterator[tuple[int, str]]:
    """The lines that hold something."""
    for number, line in enumerate(lines, start=first):
        if line.strip():
            yield number, line
