"""Stopping one GCE machine: it is read again, stopped, followed to its end, and read once more."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from google.api_core.exceptions import BadRequest

from policies.facts import Gap, Machine, MachineState, Scope, Window
from providers.base import Looked, StopAnswer
from providers.errors import one_line
from providers.gcp.errors import GCP_ERRORS, gap_from, is_denied, is_missing
from providers.gcp.inventory import InventoryReader
from providers.gcp.session import GcpSession
from providers.gcp.tpus import is_tpu
from providers.gcp.usage import UsageReader

PERIOD_S = 300
LOOK_BACK = timedelta(minutes=30)
STOP, GET = "compute.instances.stop", "compute.instances.get"
ENDED = frozenset({MachineState.TERMINATING, MachineState.TERMINATED})
ON_ITS_WAY = {
    MachineState.STOPPED: StopAnswer(result="stopped", why="it is stopped"),
    MachineState.STOPPING: StopAnswer(result="requested", why="it is stopping"),
}
GONE = StopAnswer(result="gone", why="it does not exist any more")


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceStopper:
    session: GcpSession
    inventory: InventoryReader
    usage: UsageReader
    clock: Callable[[], datetime]

    def look(self, machine: Machine) -> Looked | Gap | None:
        """One call for the machine; where it runs, four for metrics of its host."""
        if is_tpu(machine):
            return Gap(
                provider="gcp",
                account=machine.account,
                region=machine.region,
                what="machine",
                why=machine.stop_terms.why,
                resource=machine.id,
            )
        try:
            seen = self.inventory.one(machine)
        except GCP_ERRORS as error:
            return self._gap(error, machine, GET)
        if seen is None or seen.state in ENDED:
            return None
        if seen.state is not MachineState.RUNNING:
            return Looked(machine=seen, host=None)
        until = self.clock()
        until -= timedelta(seconds=until.timestamp() % PERIOD_S)
        window = Window(started_at=until - LOOK_BACK, ended_at=until, period_s=PERIOD_S)
        return Looked(machine=seen, host=self.usage.host(seen, window))

    def stop(self, machine: Machine) -> StopAnswer:
        """A member of a group is never stopped behind its back, and local SSD never discarded:

        Google is asked to preserve it, and refuses the stop where it cannot.
        """
        if is_tpu(machine):
            return StopAnswer(result="refused", why=machine.stop_terms.why)
        try:
            seen = self.inventory.one(machine)
        except GCP_ERRORS as error:
            return StopAnswer(result="failed", why=self._gap(error, machine, GET).why)
        if seen is None or seen.state in ENDED:
            return GONE
        if seen.state in ON_ITS_WAY:
            return ON_ITS_WAY[seen.state]
        forbidden = _forbidden(seen, machine)
        return forbidden or self._as_seen(seen, self._stopped(seen))

    def _stopped(self, machine: Machine) -> StopAnswer | None:
        """What went wrong; None: nothing did, or nobody can tell yet."""
        try:
            operation = self._ask(machine)
        except GCP_ERRORS as error:
            why = self._gap(error, machine, STOP).why
            if is_missing(error):
                return StopAnswer(result="gone", why=why)
            in_vain = is_denied(error) or isinstance(error, BadRequest)
            return StopAnswer(result="refused" if in_vain else "failed", why=why)
        try:
            return self._followed(machine, operation)
        except GCP_ERRORS:
            return None  # the machine's own state tells as well

    def _ask(self, machine: Machine) -> Any:
        """The request's own number makes it safe to send it again after a lost answer."""
        from google.cloud.compute_v1 import StopInstanceRequest  # noqa: PLC0415 - two seconds

        request = StopInstanceRequest(
            project=machine.account,
            zone=machine.zone,
            instance=machine.name,
            discard_local_ssd=False,
            request_id=str(uuid.uuid4()),
        )
        return self.session.compute("InstancesClient").stop_unary(
            request=request, retry=self.session.retry, timeout=self.session.timeout
        )

    def _followed(self, machine: Machine, operation: Any) -> StopAnswer | None:
        limits = self.session.limits
        until = time.monotonic() + limits.operation_s
        while operation.status.name != "DONE":
            if time.monotonic() > until:
                return None
            time.sleep(limits.operation_wait_s)
            operation = self.session.compute("ZoneOperationsClient").get(
                project=machine.account,
                zone=machine.zone,
                operation=operation.name,
                retry=self.session.retry,
                timeout=self.session.timeout,
            )
        errors = operation.error.errors
        if not errors:
            return None
        told = "; ".join(f"{each.code}: {each.message}".rstrip(": ") for each in errors)
        why = one_line(f"Google took the stop and then failed to do it ({told})")
        return StopAnswer(result="failed", why=why)

    def _as_seen(self, machine: Machine, tried: StopAnswer | None) -> StopAnswer:
        """What the state says counts more than an answer, which may have been lost."""
        if tried is not None and tried.result in {"refused", "gone"}:
            return tried
        try:
            seen = self.inventory.one(machine)
        except GCP_ERRORS as error:
            if tried is not None:
                return tried
            why = f"stopped, but not seen so: {self._gap(error, machine, GET).why}"
            return StopAnswer(result="requested", why=why)
        if seen is None or seen.state in ENDED:
            return GONE
        if seen.state in ON_ITS_WAY:
            return ON_ITS_WAY[seen.state]
        taken = StopAnswer(result="requested", why=f"Google took it; it is {seen.state.value}")
        return tried or taken

    def _gap(self, error: BaseException, machine: Machine, needs: str) -> Gap:
        scope = Scope(provider="gcp", account=machine.account, region=machine.region)
        return replace(gap_from(error, scope, "machine", needs), resource=machine.id)


def _forbidden(seen: Machine, judged: Machine) -> StopAnswer | None:
    """What stands against the stop now and was not known when it was decided.

    A person may have agreed to what was known: local SSD, a protection, capacity that may be gone.
    Nobody can agree to what a controller does, or to what Google does not do.
    """
    now, then = seen.stop_terms, judged.stop_terms
    if seen.boot != judged.boot:
        return StopAnswer(result="failed", why="it was started again since it was judged")
    if now.controller is not None:
        return StopAnswer(result="refused", why=f"it belongs to {now.controller}")
    if now.can_stop is False or (now.can_stop is None and then.can_stop is not None):
        return StopAnswer(result="refused", why=now.why)
    if now.loses and now.loses != then.loses:
        return StopAnswer(result="refused", why=f"a stop might lose {' and '.join(now.loses)}")
    if now.protected is not None and now.protected != then.protected:
        return StopAnswer(result="refused", why=f"it is protected by {now.protected} now")
    return None
