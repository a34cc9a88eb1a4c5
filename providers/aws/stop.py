"""Stopping one EC2 instance: protection is read, a dry run comes first, the state is read back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from policies.facts import Gap, Machine, MachineState, Scope, Window
from providers.aws.errors import AWS_ERRORS, DENIED, gap_from
from providers.aws.inventory import InventoryReader
from providers.aws.session import AwsSession
from providers.aws.usage import UsageReader
from providers.base import Looked, StopAnswer

PERIOD_S = 300
LOOK_BACK = timedelta(minutes=30)
ALLOWED = "DryRunOperation"
GONE = frozenset({"InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed"})
REFUSED = frozenset({"OperationNotPermitted", "UnsupportedOperation", *DENIED})
"""Stop protection, a spot machine that cannot be stopped, a role that may not: trying again is in
vain until a person changes something."""
STOP, LIST = "ec2:StopInstances", "ec2:DescribeInstances"
PROTECTION = "ec2:DescribeInstanceAttribute"
PROTECTION_NAME = "EC2's stop protection (disableApiStop)"
ON_ITS_WAY = {
    MachineState.STOPPED: StopAnswer(result="stopped", why="it is stopped"),
    MachineState.STOPPING: StopAnswer(result="requested", why="it is stopping"),
}
ENDED = frozenset({MachineState.TERMINATING, MachineState.TERMINATED})


@dataclass(slots=True, kw_only=True)
class InstanceStopper:
    session: AwsSession
    inventory: InventoryReader
    usage: UsageReader
    clock: Callable[[], datetime]
    role: str | None = None
    """The role that may stop, taken when the first machine is looked at; None: the session's."""
    _acting: AwsSession | None = None

    def _able(self) -> AwsSession:
        """Who may stop, and read what protects from it. Raises where the role may not be taken."""
        if self._acting is None:
            self._acting = self.session if self.role is None else self.session.assuming(self.role)
        return self._acting

    def look(self, machine: Machine) -> Looked | Gap | None:
        """One call for the machine; where it runs, one for its protection and one for metrics."""
        ec2 = self.session.client("ec2", machine.region)
        try:
            seen = self.inventory.one(ec2, machine)
        except AWS_ERRORS as error:
            return None if _code(error) in GONE else self._gap(error, machine, LIST)
        if seen is None or seen.state in ENDED:
            return None
        if seen.state is not MachineState.RUNNING:
            return Looked(machine=seen, host=None)
        try:
            able = self._able().client("ec2", machine.region)
            protected = _stop_protection(able, machine)
        except AWS_ERRORS as error:
            return self._gap(error, machine, PROTECTION)
        terms = seen.stop_terms
        if protected:
            terms = replace(
                terms,
                protected=terms.protected or PROTECTION_NAME,
                can_stop=False,
                why=f"EC2 refuses a stop while {PROTECTION_NAME} is on",
            )
        until = self.clock()
        until -= timedelta(seconds=until.timestamp() % PERIOD_S)
        window = Window(started_at=until - LOOK_BACK, ended_at=until, period_s=PERIOD_S)
        return Looked(
            machine=replace(seen, stop_terms=terms), host=self.usage.host(machine, window)
        )

    def stop(self, machine: Machine) -> StopAnswer:
        tried = self._tried(_dry_run, machine)
        if tried is None:
            tried = self._tried(_stop, machine)
        if tried is not None and tried.result in {"refused", "gone"}:
            return tried
        return self._as_seen(machine, tried)

    def _tried(self, call: Callable[[Any, Machine], None], machine: Machine) -> StopAnswer | None:
        """None: it went well."""
        try:
            call(self._able().client("ec2", machine.region, attempts=1), machine)
        except AWS_ERRORS as error:
            code, why = _code(error), self._gap(error, machine, STOP).why
            if code in GONE:
                return StopAnswer(result="gone", why=why)
            return StopAnswer(result="refused" if code in REFUSED else "failed", why=why)
        return None

    def _as_seen(self, machine: Machine, tried: StopAnswer | None) -> StopAnswer:
        """What the state says counts more than an answer, which may have been lost."""
        try:
            seen = self.inventory.one(self.session.client("ec2", machine.region), machine)
        except AWS_ERRORS as error:
            if tried is not None:
                return tried
            why = f"stopped, but not seen so: {self._gap(error, machine, LIST).why}"
            return StopAnswer(result="requested", why=why)
        if seen is None or seen.state in ENDED:
            return StopAnswer(result="gone", why="it does not exist any more")
        if seen.state in ON_ITS_WAY:
            return ON_ITS_WAY[seen.state]
        taken = StopAnswer(result="requested", why=f"EC2 took it; it is {seen.state.value}")
        return tried or taken

    def _gap(self, error: BaseException, machine: Machine, needs: str) -> Gap:
        scope = Scope(provider="aws", account=machine.account, region=machine.region)
        return replace(gap_from(error, scope, "machine", needs), resource=machine.id)


def _dry_run(ec2: Any, machine: Machine) -> None:
    try:
        ec2.stop_instances(InstanceIds=[machine.native_id], DryRun=True)
    except ClientError as error:
        if _code(error) != ALLOWED:
            raise


def _stop(ec2: Any, machine: Machine) -> None:
    ec2.stop_instances(InstanceIds=[machine.native_id])


def _stop_protection(ec2: Any, machine: Machine) -> bool:
    answer = ec2.describe_instance_attribute(
        InstanceId=machine.native_id, Attribute="disableApiStop"
    )
    return bool(answer["DisableApiStop"]["Value"])


def _code(error: BaseException) -> str | None:
    if not isinstance(error, ClientError):
        return None
    return error.response.get("Error", {}).get("Code")
