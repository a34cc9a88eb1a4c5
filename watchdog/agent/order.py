"""What the command asks of the agent, as text for a fresh and smaller process."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    ledger: str
    folder: str
    """Where the spool lies."""
    machine: str | None
    """This machine's id; None: it is found out."""
    batch_s: float
    """Letters are closed and sent so often."""
    sample_every_s: float
    looks: int | None
    """None: until it is told to end."""

    def text(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> Order:
        return cls(**json.loads(text))
