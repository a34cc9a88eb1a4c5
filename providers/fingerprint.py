"""Fingerprints of what a source tells of a run: equal values, equal fingerprint, on any machine."""

import hashlib
import json
from typing import Any


def fingerprint(kind: str, value: Any) -> str:
    """`kind:digest` of a value that JSON can hold; the order of names does not matter."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return f"{kind}:{hashlib.sha256(text.encode(errors='replace')).hexdigest()[:32]}"
