"""Ledgers for commands that only read: a misspelt address must not become a ledger."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from watchdog.settings import load_settings

if TYPE_CHECKING:
    from watchdog.ledger.store import Ledger


def opened(config: Path | None, ledger: str | None) -> Ledger:
    """The ledger of the settings, for reading. Where there is none it reads as an empty one."""
    from watchdog.composition import open_ledger  # noqa: PLC0415 - heavy, and not for --help

    return open_ledger(load_settings(config, ledger=ledger), read_only=True)


def empty_state(ledger: Ledger, lacking: str, remedy: str) -> str:
    """Why there is nothing to show, where it was looked for, and what to do."""
    what = lacking if ledger.exists() else "there is nothing yet"
    return f"ledger {ledger.url}: {what}: {remedy}"
