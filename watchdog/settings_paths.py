"""Relative paths in a settings file: they start where the file lies, wherever the command runs."""

import re
from collections.abc import Mapping
from pathlib import Path

from policies.pack_names import PACKS

PATHS = ("ledger", "mapping", "policy")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")


def beside(folder: Path, values: Mapping[str, object]) -> dict[str, object]:
    """The file's values with its paths made whole; `folder` holds the file.

    A URL, a pack's name and what is no text stay as they are.
    """
    return {
        name: _whole(folder, value) if name in PATHS and isinstance(value, str) else value
        for name, value in values.items()
    }


def _whole(folder: Path, value: str) -> str:
    if not value or value in PACKS or _URL.match(value):
        return value
    return str(folder / _at_home(Path(value)))


def _at_home(path: Path) -> Path:
    """`~` is the user's home, also where no shell has seen it; a home that is not known stays."""
    try:
        return path.expanduser()
    except RuntimeError:
        return path
