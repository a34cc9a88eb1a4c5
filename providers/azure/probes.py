"""What `doctor` tries out at Azure: the sign-in, each permission, and what metrics there are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from policies.facts import Window
from providers.azure import lifecycle, resource_graph
from providers.azure.errors import AZURE_ERRORS, why_of
from providers.azure.inventory import QUERY, InventoryReader
from providers.azure.machines import region_of, subscription_of
from providers.azure.metrics import NEEDS as METRICS
from providers.azure.metrics import Batch, MetricAsked, read_batch
from providers.azure.session import AzureSession
from providers.azure.usage import CPU, HOW_TO_MEASURE, VIRTUAL_MACHINES
from providers.base import Probe

GRAPH = "Microsoft.ResourceGraph/resources/read"
LOCKS = "Microsoft.Authorization/locks/read"


def probes(session: AzureSession, inventory: InventoryReader) -> Iterator[Probe]:
    """In the first subscription only, but for the listing itself: roles are granted alike."""
    subscriptions, gaps = inventory.known_subscriptions()
    if gaps or not subscriptions:
        why = gaps[0].why if gaps else "signed in, and no subscription is shown: grant the role"
        yield Probe(what="credentials", ok=False, told=why)
        return
    count = "1 subscription" if len(subscriptions) == 1 else f"{len(subscriptions)} subscriptions"
    yield Probe(what="credentials", ok=True, told=f"signed in; {count}")
    answers = resource_graph.ask(session, subscriptions, QUERY)
    for subscription, error in answers.failed.items():
        told = f"needed to find machines; {why_of(error, GRAPH)}"
        yield Probe(what=f"machines of {subscription}", ok=False, told=told)
    if not answers.failed:
        told = f"allowed; {len(answers.rows)} machines of family N"
        yield Probe(what=GRAPH, ok=True, told=told)
    first = subscriptions[0]
    yield _tried(lifecycle.NEEDS, "learn when machines were started", lambda: _log(session, first))
    locks = f"/subscriptions/{first}/providers/Microsoft.Authorization/locks"
    yield _tried(
        LOCKS,
        "read the locks of a machine before it is stopped",
        lambda: session.get(locks, {"api-version": "2016-09-01"}),
    )
    if answers.rows:
        row = answers.rows[0]
        batch = Batch(subscription_of(row), region_of(row), (str(row["id"]),))
        yield _tried(METRICS, "read CPU, network and disk metrics", lambda: _cpu(session, batch))
    yield Probe(what="GPU metrics", ok=None, told=f"Azure has none of its own; {HOW_TO_MEASURE}")


def _tried(permission: str, purpose: str, call: Callable[[], object]) -> Probe:
    """Without any of these a patrol still sees every machine, knowing less."""
    try:
        call()
    except AZURE_ERRORS as error:
        told = f"needed to {purpose}; {why_of(error, permission)}"
        return Probe(what=permission, ok=None, told=told)
    return Probe(what=permission, ok=True, told=f"allowed; needed to {purpose}")


def _log(session: AzureSession, subscription: str) -> None:
    now = datetime.now(UTC)
    window = Window(started_at=now - timedelta(minutes=1), ended_at=now, period_s=60)
    lifecycle.history_of(session, subscription, window, now)


def _cpu(session: AzureSession, batch: Batch) -> None:
    end = datetime.now(UTC).replace(second=0, microsecond=0)
    window = Window(started_at=end - timedelta(minutes=10), ended_at=end, period_s=300)
    asked = MetricAsked(namespace=VIRTUAL_MACHINES, names=(CPU,), aggregations=("Average",))
    read_batch(session, batch, asked, window)
