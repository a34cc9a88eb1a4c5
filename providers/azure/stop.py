"""Stopping one Azure VM: its locks are read, it is deallocated, and that is followed to its end.

Never powered off, which saves nothing, and never deleted. The request is sent once: whether one
arrived whose answer was lost, the VM's own state tells.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from azure.core.pipeline import PipelineResponse

from policies.facts import Gap, Machine, MachineState, Scope, Window
from providers.azure.errors import (
    AZURE_ERRORS,
    CONFLICT,
    FORBIDDEN,
    NOT_FOUND,
    code_of,
    gap_from,
    status_of,
)
from providers.azure.inventory import InventoryReader
from providers.azure.machines import changed_at, machine_from, resource_id_of, size_of
from providers.azure.session import AzureSession, seconds_of
from providers.azure.usage import UsageReader
from providers.base import Looked, StopAnswer
from providers.errors import AnswerCut

PERIOD_S = 300
LOOK_BACK = timedelta(minutes=30)
LOCKS_VERSION = "2016-09-01"
READ_ONLY = "readonly"
"""Such a lock forbids to deallocate; one against deletion does not."""
LOOK, LOCKS = "Microsoft.Compute/virtualMachines/read", "Microsoft.Authorization/locks/read"
STOP = "Microsoft.Compute/virtualMachines/deallocate/action"
LOCKED = "ScopeLocked"
POLLS_AT_MOST = 100
ON_ITS_WAY = {
    MachineState.STOPPED: StopAnswer(result="stopped", why="it is deallocated"),
    MachineState.STOPPING: StopAnswer(result="requested", why="it is being deallocated"),
}
ENDED = frozenset({MachineState.TERMINATING, MachineState.TERMINATED})
MEMBER = "it is a member of a scale set, which alone may stop it"


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineStopper:
    session: AzureSession
    inventory: InventoryReader
    usage: UsageReader
    clock: Callable[[], datetime]

    def look(self, machine: Machine) -> Looked | Gap | None:
        """One call for the VM; where it runs, one for its locks and one for metrics."""
        try:
            seen = self._seen(machine)
        except AZURE_ERRORS as error:
            return None if status_of(error) == NOT_FOUND else _gap(error, machine, LOOK)
        if seen is None or seen.state in ENDED:
            return None
        if seen.state is MachineState.UNKNOWN:
            return _gap(AnswerCut("no power state in it"), machine, LOOK)
        if seen.state is not MachineState.RUNNING:
            return Looked(machine=seen, host=None)
        try:
            lock = self._lock(machine)
        except AZURE_ERRORS as error:
            return _gap(error, machine, LOCKS)
        terms = seen.stop_terms
        if lock is not None and terms.protected is None:
            terms = replace(terms, protected=f"the read-only lock {lock}")
        until = self.clock()
        until -= timedelta(seconds=until.timestamp() % PERIOD_S)
        window = Window(started_at=until - LOOK_BACK, ended_at=until, period_s=PERIOD_S)
        return Looked(machine=replace(seen, stop_terms=terms), host=self.usage.host(seen, window))

    def stop(self, machine: Machine) -> StopAnswer:
        group, name = _named(machine)
        if name is None:
            return StopAnswer(result="refused", why=MEMBER)
        operation: list[str] = []
        tried = self._tried(machine, lambda: self._deallocate(machine, group, name, operation))
        if tried is not None and tried.result in {"refused", "gone"}:
            return tried
        if tried is None:
            tried = self._followed(machine, operation)
        return self._as_seen(machine, tried)

    def _seen(self, machine: Machine) -> Machine | None:
        """The same VM as it is this moment; None: it is gone, or its name is another's by now."""
        raw = self._raw(machine)
        facts = self.inventory.facts(size_of(raw) or machine.machine_type)
        if facts is None or str(raw["properties"]["vmId"]).lower() != machine.native_id:
            return None
        seen = machine_from(raw, facts)
        return replace(seen, started_at=self._started_at(machine, raw))

    def _raw(self, machine: Machine) -> Mapping[str, Any]:
        compute = self.session.compute(machine.account)
        group, name = _named(machine)
        if name is not None:
            vm: Any = compute.virtual_machines.get(group, name, expand="instanceView")
        else:
            scale_set, number = _member(machine)
            vm = compute.virtual_machine_scale_set_vms.get(
                group, scale_set, number, expand="instanceView"
            )
        told: Mapping[str, Any] = vm.as_dict()
        return {**told, "managedBy": told.get("managedBy")}

    def _started_at(self, machine: Machine, raw: Mapping[str, Any]) -> datetime | None:
        """Its start as it was known, unless something was done to it since it was listed.

        Azure tells no last start. What else than a start it was nobody can tell: that, too, is
        reason enough to judge it anew.
        """
        changed, listed = changed_at(raw), self.inventory.listed_at
        if changed is not None and listed is not None and changed > listed:
            return changed
        return machine.started_at

    def _lock(self, machine: Machine) -> str | None:
        """A lock on it, its resource group or its subscription that forbids to stop it.

        Listed without a filter, locks of a resource are those at, above and below it.
        """
        path = f"{resource_id_of(machine)}/providers/Microsoft.Authorization/locks"
        for page in self.session.pages(path, {"api-version": LOCKS_VERSION}, most=10):
            for lock in page["value"]:
                if str(lock["properties"]["level"]).lower() == READ_ONLY:
                    return str(lock.get("name") or "without a name")
        return None

    def _deallocate(self, machine: Machine, group: str, name: str, operation: list[str]) -> None:
        """Adds where the operation can be followed."""

        def keep(answer: PipelineResponse[Any, Any]) -> None:
            headers = answer.http_response.headers
            where = headers.get("Azure-AsyncOperation") or headers.get("Location")
            if where:
                operation.extend((where, headers.get("Retry-After") or ""))

        self.session.deallocating(machine.account).virtual_machines.begin_deallocate(
            group, name, polling=False, raw_response_hook=keep
        )

    def _tried(self, machine: Machine, call: Callable[[], object]) -> StopAnswer | None:
        """None: it was taken."""
        try:
            call()
        except AZURE_ERRORS as error:
            why, status = _gap(error, machine, STOP).why, status_of(error)
            if status == NOT_FOUND:
                return StopAnswer(result="gone", why=why)
            refused = status == FORBIDDEN or (status == CONFLICT and code_of(error) == LOCKED)
            return StopAnswer(result="refused" if refused else "failed", why=why)
        return None

    def _followed(self, machine: Machine, operation: list[str]) -> StopAnswer | None:
        """What the operation says of its end; None: nothing bad, or not yet."""
        if not operation:
            return None
        where, told = operation
        wait, until = seconds_of(told), time.monotonic() + self.session.limits.follow_s
        for _ in range(POLLS_AT_MOST):
            if time.monotonic() + wait > until:
                return None
            time.sleep(wait)
            try:
                answer, wait = self.session.followed(where)
            except AZURE_ERRORS as error:
                return StopAnswer(result="requested", why=_gap(error, machine, STOP).why)
            status = str(answer.get("status") or "Succeeded").lower()
            if status in {"failed", "canceled", "cancelled"}:
                return StopAnswer(result="failed", why=_failure(answer, status))
            if status == "succeeded":
                return None
        return None

    def _as_seen(self, machine: Machine, tried: StopAnswer | None) -> StopAnswer:
        """What the state says counts more than an answer, which may have been lost."""
        try:
            seen = self._seen(machine)
        except AZURE_ERRORS as error:
            if status_of(error) == NOT_FOUND:
                return StopAnswer(result="gone", why="it does not exist any more")
            if tried is not None:
                return tried
            why = f"deallocated, but not seen so: {_gap(error, machine, LOOK).why}"
            return StopAnswer(result="requested", why=why)
        if seen is None or seen.state in ENDED:
            return StopAnswer(result="gone", why="it does not exist any more")
        if seen.state in ON_ITS_WAY:
            return ON_ITS_WAY[seen.state]
        taken = StopAnswer(result="requested", why=f"Azure took it; it is {seen.state.value}")
        return tried or taken


def _failure(answer: Mapping[str, Any], status: str) -> str:
    error = answer.get("error") or {}
    told = f"{error.get('code')}: {error.get('message')}" if error else "no reason was told"
    return f"Azure took the stop, and it {status}: {told}; the next patrol tries again"


def _named(machine: Machine) -> tuple[str, str | None]:
    """Resource group and name; no name for a member of a Uniform scale set."""
    parts = resource_id_of(machine).split("/")
    return parts[4], None if len(parts) > 9 else parts[8]  # noqa: PLR2004 - a member's is longer


def _member(machine: Machine) -> tuple[str, str]:
    parts = resource_id_of(machine).split("/")
    return parts[8], parts[10]


def _gap(error: BaseException, machine: Machine, needs: str) -> Gap:
    scope = Scope(provider="azure", account=machine.account, region=machine.region)
    return replace(gap_from(error, scope, "machine", needs), resource=machine.id)
