"""On which line of a TOML file a key stands."""

import re
from collections.abc import Sequence


def line_of(text: str, keys: Sequence[str]) -> int | None:
    """The line on which a TOML key stands; the section's line where only the section does."""
    section: list[str] = []
    found = None
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[\s*([^\[\]]+?)\s*\]", line)
        if header:
            section = [part.strip().strip("\"'") for part in header[1].split(".")]
            found = number if section == list(keys[: len(section)]) and found is None else found
            continue
        key = re.match(r"\s*([\w.\"'-]+)\s*=", line)
        if key:
            path = section + [part.strip("\"'") for part in key[1].split(".")]
            if path == list(keys[: len(path)]):
                return number
    return found
