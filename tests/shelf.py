"""A provider over facts that lie ready: for what a patrol does with what it is told."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from policies.facts import Gap, Machine, Price, Reading, Scope, Storage, Transition, Window
from providers.base import Seen, StorageAsked

SCOPE = Scope(provider="aws", account="123456789012", region="us-east-1")


class Shelf:
    """Readings are cut to the window that is asked for, as a cloud does; what was asked is kept."""

    name = "aws"
    how_to_measure = "install the agent"

    def __init__(
        self,
        *machines: Machine,
        readings: Sequence[Reading] = (),
        transitions: Sequence[Transition] = (),
        gaps: Sequence[Gap] = (),
        breaks: bool = False,
        storage: Sequence[Storage] = (),
        storage_gaps: Sequence[Gap] = (),
    ) -> None:
        self._machines = machines
        self._readings = readings
        self._transitions = transitions
        self._gaps = gaps
        self._breaks = breaks
        self._storage = storage
        self._storage_gaps = storage_gaps
        self.storage_asked: list[StorageAsked] = []
        self.asked: list[tuple[int, Window]] = []
        self.history_asked: list[Window] = []

    def machines(self) -> Seen[Machine]:
        return Seen(values=self._machines, scopes=(SCOPE,), gaps=tuple(self._gaps))

    def readings(self, machines: Sequence[Machine], window: Window) -> Seen[Reading]:
        self.asked.append((len(machines), window))
        if self._breaks:
            raise KeyError("Datapoints")
        return Seen(
            values=tuple(
                each
                for each in self._readings
                if each.period_s == window.period_s and each.started_at >= window.started_at
            )
        )

    def transitions(self, machines: Sequence[Machine], window: Window) -> Seen[Transition]:
        self.history_asked.append(window)
        return Seen(values=tuple(self._transitions))

    def storage(self, asked: StorageAsked) -> Seen[Storage]:
        self.storage_asked.append(asked)
        gaps = tuple(self._storage_gaps)
        return Seen(values=tuple(self._storage), gaps=gaps, scopes=() if gaps else (SCOPE,))

    def price(self, machine: Machine) -> Price:
        return machine.price

    def api_calls(self) -> Mapping[str, int]:
        return {"ec2:DescribeInstances": 1}

    def watching_usd(self) -> Decimal | None:
        return Decimal("0.001")

    def role_text(self) -> str:
        return "{}"
