"""Jobs of the cluster that this machine belongs to, by the program `sacct`."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from policies.facts import Run
from providers.base import RunNotRead, RunsAsked, RunSourceError
from providers.chunks import chunks
from providers.slurm.jobs import Jobs
from providers.slurm.text import CellError, Columns

FIELDS = (
    *("JobID", "JobIDRaw", "Cluster", "User", "Account", "State", "ExitCode"),
    *("Submit", "Start", "End", "NNodes", "NodeList", "AllocTRES", "JobName"),
)
"""Fields that every version since 17.11 knows. JobName comes last, for it may hold anything."""
DELIMITER = "\x1f"
EVER = "2000-01-01T00:00:00"
JOBS_AT_ONCE = 500
PATIENCE_S = 600.0
CONFIGS = ("/etc/slurm/slurm.conf", "/etc/slurm-llnl/slurm.conf", "/run/slurm/conf/slurm.conf")
CLUSTER_NAME = re.compile(r"^\s*ClusterName\s*=\s*(\S+)", re.IGNORECASE | re.MULTILINE)
TOLD_AT_MOST = 300


class Sacct:
    """All attempts of each job are asked for together, so that each keeps its number.

    Jobs of other users are shown where Slurm lets this user see them (PrivateData).
    """

    incremental = True
    notices = ()
    look_again = timedelta(days=30)
    """The controller rewrites rows of finished jobs after a restart."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = dict(environ)
        self._cluster = _cluster_of(self._environ)

    @property
    def name(self) -> str:
        return f"slurm:{self._cluster}"

    @property
    def prefix(self) -> str:
        return f"slurm:{self._cluster}:"

    def runs(self, asked: RunsAsked) -> Iterator[Run | RunNotRead]:
        for ids in chunks(self._changed(asked.since), JOBS_AT_ONCE):
            lines = self._asked("-j", ",".join(ids), "-D", "-o", ",".join(FIELDS))
            yield from self._folded(lines)

    def _changed(self, since: datetime | None) -> list[str]:
        """Jobs that waited, ran or ended since, by the id that selects all their attempts."""
        start = EVER if since is None else since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
        lines = self._asked("-X", "-D", "-S", start, "-o", "JobID,JobIDRaw")
        found: dict[str, None] = {}
        for line in lines:
            shown, _, raw = line.partition(DELIMITER)
            found[shown.partition("+")[0] if "+" in shown else raw.strip()] = None
        return [each for each in found if each.isdecimal()]

    def _folded(self, lines: Sequence[str]) -> Iterator[Run | RunNotRead]:
        columns = Columns(FIELDS, DELIMITER)
        jobs = Jobs()
        for line in lines:
            try:
                jobs.add(columns.row(line, zone=UTC, cluster=self._cluster))
            except CellError as error:
                yield _not_read(line, error.field, error)
            except ValueError as error:
                yield _not_read(line, "JobID", error)
        yield from jobs.runs()

    def _asked(self, *words: str) -> list[str]:
        """Times come as seconds since 1970; a question in local time means UTC."""
        command = ["sacct", "-a", "-n", "-P", f"--delimiter={DELIMITER}", *words]
        environ = {**self._environ, "TZ": "UTC", "SLURM_TIME_FORMAT": "%s"}
        try:
            done = subprocess.run(  # noqa: S603 - the words are ours
                command,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=PATIENCE_S,
                check=False,
                env=environ,
                stdin=subprocess.DEVNULL,
            )
        except FileNotFoundError:
            raise RunSourceError(
                "slurm: there is no program sacct on this machine: run this where Slurm's commands "
                "are, or bring what `sacct -P` prints in a file"
            ) from None
        except subprocess.TimeoutExpired:
            raise RunSourceError(
                f"slurm: sacct did not answer within {PATIENCE_S:g} s; say --since to ask for less"
            ) from None
        if done.returncode != 0:
            raise RunSourceError(f"slurm: sacct failed: {_last_line(done.stderr)}")
        return [line for line in done.stdout.split("\n") if line.strip()]


def _cluster_of(environ: Mapping[str, str]) -> str:
    """As the controller tells it, else its settings; the ids of two clusters must not meet."""
    try:
        done = subprocess.run(
            ["scontrol", "show", "config"],  # noqa: S607 - the user's own Slurm
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            env=dict(environ),
        )
        told = done.stdout
    except (OSError, subprocess.TimeoutExpired):
        told = ""
    for text in (
        told,
        *(_content(Path(each)) for each in (environ.get("SLURM_CONF"), *CONFIGS) if each),
    ):
        match = CLUSTER_NAME.search(text)
        if match:
            return match[1]
    return "cluster"


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _not_read(line: str, field: str, error: Exception) -> RunNotRead:
    job = line.partition(DELIMITER)[0].strip() or "a line"
    return RunNotRead(where=f"sacct: {job[:40]}", field=field, why=str(error))


def _last_line(told: str) -> str:
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    return lines[-1][:TOLD_AT_MOST] if lines else "it said nothing"
