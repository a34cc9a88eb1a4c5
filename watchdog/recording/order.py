"""What the command line asks of the wrapper."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from policies.facts import WorkloadKind
from watchdog.recording.fingerprints import NOTHING_SAID, Asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    words: tuple[str, ...]
    """The command."""
    asked: Asked = NOTHING_SAID
    workload: str | None = None
    """None: the launcher's name for the job, else the folder and the script."""
    group: str | None = None
    kind: WorkloadKind = WorkloadKind.UNKNOWN
    data_class: str | None = None
    config: Path | None = None
    """The settings file; None: the usual ones."""
    ledger: str | None = None
    """None: as the settings say."""
