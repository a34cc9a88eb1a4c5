"""Which machine, and which of its GPUs, a series speaks of: by labels alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from policies.facts import Machine

JOIN_LABELS = ("instance_id", "vm_id", "microsoft_resourceid", "Hostname", "node", "instance")
"""Labels that may name a machine: ids, then names, then addresses."""
SLICE = "GPU_I_ID"
"""The label of a MIG slice's number on its GPU."""


@dataclass(frozen=True, slots=True, order=True)
class Gpu:
    """One GPU of a machine, or one MIG slice of it."""

    card: str
    """Its index, else its UUID."""
    slice: str = ""

    @property
    def name(self) -> str:
        return f"{self.card}/{self.slice}" if self.slice else self.card


class Joining:
    """Finds the machine of a series, and remembers what fitted several or none."""

    def __init__(self, machines: Iterable[Machine], labels: Sequence[str]) -> None:
        self._labels = labels
        self._found: dict[str, set[str]] = {}
        self._by_name: dict[str, set[str]] = defaultdict(set)
        for machine in machines:
            for name in (machine.native_id, machine.name, *machine.host_names):
                if name:
                    self._by_name[name.lower()].add(machine.id)
        self.ambiguous: dict[str, tuple[str, ...]] = {}
        """By `label=value`, the ids of the several machines that it fits."""
        self.strangers: dict[str, None] = {}
        """`label=value` of series that fit no machine."""
        self.fitted = False

    def machine_of(self, labels: Mapping[str, str]) -> str | None:
        """The id of the one machine that a series fits; None where it fits none, or several.

        The first label that fits any machine counts; where it fits several, a later label may
        still tell which of them.
        """
        found: set[str] = set()
        told = ""
        for label in self._labels:
            fitting = self._fitting(str(labels.get(label) or ""))
            if fitting and not found:
                told = f"{label}={labels[label]}"
            found = (found & fitting or found) if found else fitting
            if len(found) == 1:
                self.fitted = True
                return next(iter(found))
        if found:
            self.ambiguous[told] = tuple(sorted(found))
        else:
            self.strangers[self._described(labels)] = None
        return None

    def _described(self, labels: Mapping[str, str]) -> str:
        given = (f"{label}={labels[label]}" for label in self._labels if labels.get(label))
        return next(given, "none of these labels")

    def _fitting(self, value: str) -> set[str]:
        """Looked up once: each GPU and metric of a machine has the same labels."""
        if value not in self._found:
            known = (self._by_name[name] for name in _names(value) if name in self._by_name)
            self._found[value] = next(known, set())
        return self._found[value]


def gpu_of(labels: Mapping[str, str]) -> Gpu | None:
    """None where no label tells which GPU it is: a sum over several hides the busy one."""
    card = labels.get("gpu") or labels.get("UUID")
    return Gpu(str(card), str(labels.get(SLICE) or "")) if card else None


def _names(value: str) -> Iterable[str]:
    """What a label's value may name: itself, without its port, the last part of a path."""
    if not value:
        return
    lower = value.lower()
    yield lower
    if lower.startswith("/"):
        yield lower.rstrip("/").rsplit("/", 1)[-1]
        return
    address = lower if "://" in lower else f"//{lower}"
    try:
        host = urlsplit(address).hostname
    except ValueError:
        return
    if host and (lower.count(":") == 1 or "[" in lower or "://" in lower):
        yield host
