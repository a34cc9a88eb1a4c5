"""The seam to every channel: an alert goes in, what became of it comes out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from watchdog.alerts.message import Alert


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What became of one alert on one channel. A failure is a value, too."""

    channel: str
    """The channel's id where the other side told it, else the name that was asked for."""
    delivered: bool
    """True only where the other side confirmed it."""
    why: str
    """What happened; if it failed, what to do about it. One line, without secrets."""
    ts: str | None = None
    """The message's name, by which it can be updated. None: the channel has none."""


Notifier: TypeAlias = Callable[[Alert], Delivery]
