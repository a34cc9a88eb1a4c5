"""Every kind of GCE machine and what a stop means for it, and stops that go wrong on their way."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from policies.facts import Machine
from providers.base import Looked, StopAnswer
from providers.gcp.adapter import GcpProvider
from providers.gcp.session import Limits
from tests.fake_gcp import FakeGcp

Make = Callable[..., GcpProvider]
SSD = [{"type": "SCRATCH", "diskSizeGb": "375"}]
BOOT = [{"type": "PERSISTENT", "boot": True, "diskSizeGb": "100"}]
MIG = "projects/1/zones/us-central1-a/instanceGroupManagers/trainers"


def only(provider: GcpProvider) -> Machine:
    (machine,) = provider.machines().values
    return machine


def stopped(gcp: FakeGcp, make: Make, **machine: Any) -> StopAnswer:
    gcp.machine(**machine)
    provider = make()
    return provider.stop(only(provider))


def test_a_stop_is_followed_to_its_end(gcp: FakeGcp, provider: Make) -> None:
    gcp.stops_after = 3
    answer = stopped(gcp, provider)
    assert answer == StopAnswer(result="stopped", why="it is stopped")
    ((name, asked),) = gcp.stopped
    assert name == "trainer-1"
    assert asked["discardLocalSsd"] == "false"
    assert asked["requestId"]
    assert gcp.calls["compute:GetOperation"] == 3


def test_an_operation_that_lasts_is_only_requested(gcp: FakeGcp, provider: Make) -> None:
    gcp.stops_after = None
    gcp.machine()
    made = provider(limits=Limits(operation_s=0.05, operation_wait_s=0.01))
    assert made.stop(only(made)).result == "requested"


def test_an_operation_that_fails_after_it_was_accepted(gcp: FakeGcp, provider: Make) -> None:
    gcp.stop_error = {"code": "RESOURCE_IN_USE", "message": "somebody else is at it"}
    answer = stopped(gcp, provider)
    assert answer.result == "failed"
    assert "RESOURCE_IN_USE: somebody else is at it" in answer.why


@pytest.mark.parametrize(
    ("machine", "why"),
    [
        ({"metadata": {"items": [{"key": "created-by", "value": MIG}]}}, "group trainers"),
        ({"labels": {"goog-k8s-node-pool-name": "gpus"}}, "GKE node pool gpus"),
        ({"labels": {"notebooks-product": "workbench-instances"}}, "Workbench"),
    ],
)
def test_what_belongs_to_another_is_refused_without_asking(
    gcp: FakeGcp, provider: Make, machine: dict[str, Any], why: str
) -> None:
    answer = stopped(gcp, provider, **machine)
    assert answer.result == "refused"
    assert why in answer.why
    assert gcp.stopped == []


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"disks": [*BOOT, *SSD, *SSD]}, "750 GiB of local SSD"),
        ({"labels": {"spend-watchdog-protected": "true"}}, "spend-watchdog-protected"),
        ({"startRestricted": True}, "restricted its start"),
    ],
)
def test_what_nobody_knew_when_it_was_decided_forbids_the_stop(
    gcp: FakeGcp, provider: Make, change: dict[str, Any], why: str
) -> None:
    native = gcp.machine()
    made = provider()
    judged = only(made)
    gcp.find(native).update(change)
    answer = made.stop(judged)
    assert answer.result == "refused"
    assert why in answer.why
    assert gcp.stopped == []


def test_local_ssd_is_never_discarded_even_where_somebody_agreed(
    gcp: FakeGcp, provider: Make
) -> None:
    native = gcp.machine(disks=[*BOOT, *SSD])
    made = provider()
    machine = only(made)
    assert machine.stop_terms.loses == ("375 GiB of local SSD",)
    assert made.stop(machine).result == "refused"
    assert gcp.find(native)["status"] == "RUNNING"
    assert gcp.stopped[0][1]["discardLocalSsd"] == "false"


@pytest.mark.parametrize(
    ("machine", "why"),
    [
        ({"machine_type": "a3-highgpu-8g"}, None),
        ({"scheduling": {"provisioningModel": "FLEX_START"}}, "flex-start"),
        ({"scheduling": {"provisioningModel": "TELEPATHIC"}}, "TELEPATHIC"),
        ({"startRestricted": True}, "restricted its start"),
    ],
)
def test_what_a_stop_would_mean_is_told_beforehand(
    gcp: FakeGcp, provider: Make, machine: dict[str, Any], why: str | None
) -> None:
    gcp.machine(**machine)
    terms = only(provider()).stop_terms
    if why is None:
        assert terms.loses == ("6000 GiB of local SSD",)
    else:
        assert terms.can_stop is None
        assert why in terms.why


@pytest.mark.parametrize(
    "machine",
    [
        {"scheduling": {"provisioningModel": "SPOT", "instanceTerminationAction": "STOP"}},
        {"scheduling": {"preemptible": True}},
        {"labels": {"skypilot-cluster-name": "dev"}},
        {"deletionProtection": True},
    ],
)
def test_what_can_be_stopped_is(gcp: FakeGcp, provider: Make, machine: dict[str, Any]) -> None:
    assert stopped(gcp, provider, **machine).result == "stopped"


@pytest.mark.parametrize(
    "reserved",
    [
        {"scheduling": {"provisioningModel": "RESERVATION_BOUND"}},
        {
            "reservationAffinity": {
                "consumeReservationType": "SPECIFIC_RESERVATION",
                "key": "compute.googleapis.com/reservation-name",
                "values": ["h100s"],
            }
        },
        {
            "resourceStatus": {
                "reservationConsumptionInfo": {"consumedReservation": "projects/p/reservations/h"}
            }
        },
    ],
)
def test_what_is_paid_anyway_says_so(
    gcp: FakeGcp, provider: Make, reserved: dict[str, Any]
) -> None:
    gcp.machine(**reserved)
    machine = only(provider())
    assert machine.stop_terms.prepaid is not None
    assert machine.price.saves_usd == 0


def test_a_machine_that_was_started_again_is_not_stopped(gcp: FakeGcp, provider: Make) -> None:
    native = gcp.machine()
    made = provider()
    judged = only(made)
    gcp.find(native)["lastStartTimestamp"] = "2026-12-01T00:00:00.000-08:00"
    assert made.stop(judged).result == "failed"
    assert gcp.stopped == []


def test_one_that_was_made_anew_under_the_same_name_is_another(
    gcp: FakeGcp, provider: Make
) -> None:
    native = gcp.machine()
    made = provider()
    judged = only(made)
    gcp.find(native)["id"] = "77"
    assert made.look(judged) is None
    assert made.stop(judged).result == "gone"
    assert gcp.stopped == []


@pytest.mark.parametrize(
    ("status", "reason", "result"),
    [(403, "forbidden", "refused"), (404, "notFound", "gone"), (400, "badRequest", "refused")],
)
def test_a_stop_that_google_refuses(
    gcp: FakeGcp, provider: Make, status: int, reason: str, result: str
) -> None:
    gcp.fail("compute:StopInstance", status, reason=reason)
    assert stopped(gcp, provider).result == result


def test_a_stop_that_is_throttled_for_good_has_failed(gcp: FakeGcp, provider: Make) -> None:
    gcp.fail("compute:StopInstance", 429, reason="rateLimitExceeded")
    assert stopped(gcp, provider).result == "failed"


def test_a_stop_is_sent_again_under_one_number(gcp: FakeGcp, provider: Make) -> None:
    gcp.fail("compute:StopInstance", 503, reason="backendError", times=1)
    assert stopped(gcp, provider).result == "stopped"
    numbers = {query["requestId"] for name, query in gcp.queries if name == "compute:StopInstance"}
    assert len(numbers) == 1


def test_an_operation_that_may_not_be_followed_is_seen_by_the_machine(
    gcp: FakeGcp, provider: Make
) -> None:
    gcp.fail("compute:GetOperation", 403)
    assert stopped(gcp, provider).result == "requested"


def test_a_machine_that_cannot_be_read_is_not_stopped(gcp: FakeGcp, provider: Make) -> None:
    gcp.machine()
    made = provider()
    judged = only(made)
    gcp.fail("compute:GetInstance", 403)
    assert made.stop(judged).result == "failed"
    assert gcp.stopped == []


def test_a_look_tells_what_the_host_does(gcp: FakeGcp, provider: Make) -> None:
    now = datetime.now(UTC)
    native = gcp.machine()
    gcp.host(native, now - timedelta(hours=1), 60)
    made = provider()
    looked = made.look(only(made))
    assert isinstance(looked, Looked)
    assert looked.host is not None
    assert max(looked.host.utilisation_max_pct) == 1.0
    assert looked.host.received_bytes is not None
    assert max(looked.host.received_bytes) == 1000.0
