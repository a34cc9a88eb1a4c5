"""Bytes that leave VMs, by the clock hour: of what was read for readings, else asked for.

Azure Monitor counts all that a VM sends, also within Azure: no metric tells the internet apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from policies.facts import Gap, Machine, Scope, Window
from providers.azure.errors import gap_from
from providers.azure.machines import resource_id_of
from providers.azure.metrics import NEEDS
from providers.azure.session import AzureSession
from providers.azure.usage import SENT, UsageReader, sent_of
from providers.base import Seen
from providers.catalog.egress_offers import egress_tariff
from providers.egress import INTERNET, EgressCounter

WHAT = "egress metrics"
MACHINE = "machine"
CANNOT_TELL = (
    f"everything that the machine sent ({SENT}), also within its region and to Azure's own"
    " services: the cost is what it would be if all of it went to the internet"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressReader:
    session: AzureSession
    usage: UsageReader

    def read(
        self, machines: Sequence[Machine], scopes: Sequence[Scope], window: Window
    ) -> Seen[EgressCounter]:
        places = {(scope.account, scope.region): scope for scope in scopes}
        wanted = [
            machine
            for machine in machines
            if (machine.account, machine.region) in places
            and machine.may_have_run_since(window.started_at)
        ]
        known = {each.id: self.usage.sent_by_hour(each, window) for each in wanted}
        missing = [each for each in wanted if known[each.id] is None]
        found: dict[str, Mapping[datetime, float]] = {
            name: hours for name, hours in known.items() if hours is not None
        }
        gaps: list[Gap] = []
        for batch, answer in sent_of(self.session, missing, window).items():
            if isinstance(answer, Exception):
                scope = places[batch.subscription, batch.region]
                gaps.append(gap_from(answer, scope, WHAT, NEEDS))
            else:
                of_machine = {resource_id_of(each).lower(): each.id for each in missing}
                found |= {of_machine[path]: hours for path, hours in answer.items()}
        counters = [
            _counter(machine, found[machine.id], places[machine.account, machine.region])
            for machine in wanted
            if found.get(machine.id)
        ]
        return Seen(values=tuple(counters), gaps=tuple(gaps))


def _counter(machine: Machine, hours: Mapping[datetime, float], scope: Scope) -> EgressCounter:
    return EgressCounter(
        id=machine.id,
        kind=MACHINE,
        scope=scope,
        name=machine.name,
        hours={hour: round(sent) for hour, sent in sorted(hours.items())},
        reach="all",
        tariff=egress_tariff("azure", machine.region, INTERNET),
        tags=machine.tags,
        why=(CANNOT_TELL,),
    )
