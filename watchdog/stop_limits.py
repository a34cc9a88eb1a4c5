"""The most that one patrol may stop: machines, their share, dollars an hour, and each GPU class."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from math import ceil

from policies.facts import Machine
from policies.rules import GpuClass, Limits


@dataclass(slots=True, kw_only=True)
class StopBudget:
    """What one patrol may still stop."""

    limits: Limits
    machines: int
    """Those that run."""
    stopped: int = 0
    usd_per_hour: Decimal = Decimal(0)
    by_class: Counter[str] = field(default_factory=Counter)
    """How many of each class of GPUs."""

    def against(self, members: Sequence[Machine]) -> str | None:
        """Why these would be too many; None: they are not."""
        share = max(1, ceil(self.limits.stop_share * self.machines))
        most = min(self.limits.stops_per_patrol, share)
        if len(members) > most:
            return f"its group has {len(members)} machines, and one patrol stops at most {most}"
        if self.stopped + len(members) > most:
            return f"this patrol stops at most {most} machines, and stops dearer ones"
        if self.usd_per_hour + hourly_usd(members) > self.limits.stop_usd_per_hour:
            return f"this patrol stops at most {self.limits.stop_usd_per_hour} USD an hour"
        full = self._full_class(members)
        if full is not None:
            return f"this patrol stops at most {full.stops_per_patrol} {full.model}"
        return None

    def spend(self, members: Sequence[Machine], stopped: int) -> None:
        self.stopped += stopped
        if stopped:
            self.usd_per_hour += hourly_usd(members)
            self.by_class += self._classes(members)

    def _full_class(self, members: Sequence[Machine]) -> GpuClass | None:
        """A class of GPUs of which this patrol would stop too many; None: there is none."""
        wanted = self.by_class + self._classes(members)
        for each in self.limits.gpu_classes:
            if each.stops_per_patrol is not None and wanted[each.model] > each.stops_per_patrol:
                return each
        return None

    def _classes(self, members: Sequence[Machine]) -> Counter[str]:
        models = ([each.model for each in one.accelerators] for one in members)
        found = (self.limits.class_of(several) for several in models)
        return Counter(each.model for each in found if each is not None)


def hourly_usd(members: Iterable[Machine]) -> Decimal:
    prices = (each.price.hourly_usd or Decimal(0) for each in members)
    return sum(prices, Decimal(0))
