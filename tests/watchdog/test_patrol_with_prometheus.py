"""A patrol whose machines have no agent, beside a real Prometheus that knows their GPUs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from policies.facts import Machine, Reading
from policies.rules import load_pack
from providers.prometheus.usage import PrometheusUsage
from tests.builders import reading
from tests.providers.prometheus.fleet import BUSY, GAPPY, IDLE, NOW, SINCE, TWIN_A, TWIN_B, history
from tests.providers.prometheus.real_server import prometheus
from tests.shelf import Shelf
from watchdog.gather import Monitoring
from watchdog.ledger.store import Ledger
from watchdog.patrol import Parts, patrol
from watchdog.patrol_json import patrol_json


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with prometheus(tmp_path_factory.mktemp("prometheus"), history()) as url:
        yield url


def host(machine: Machine) -> Reading:
    """What every cloud tells unasked: processor and network, both quiet but for the network."""
    nothing = [0.0] * 36
    return reading(
        [12.0] * 36,
        gpu=None,
        resource=machine.id,
        started_at=SINCE,
        received_bytes=nothing,
        sent_bytes=nothing,
        written_bytes=nothing,
    )


def agents(machine: Machine, *values: float) -> Reading:
    return reading(values, resource=machine.id, started_at=SINCE, memory_used_mib=[10.0] * 36)


def patrolled(
    folder: Path, *machines: Machine, by: Monitoring | None, also: tuple[Reading, ...] = ()
) -> tuple[dict[str, Any], dict[str, Any], Ledger]:
    """The report as JSON, and its machines by name."""
    ledger = Ledger.open(str(folder / "ledger"))
    shelf = Shelf(*machines, readings=[*map(host, machines), *also])
    parts = Parts(providers=[shelf], ledger=ledger, policy=load_pack("observe"), monitoring=by)
    report: dict[str, Any] = patrol_json(patrol(parts, now=NOW))
    return report, {each["name"]: each for each in report["machines"]}, ledger


def test_a_machine_without_an_agent_becomes_measured(server: str, tmp_path: Path) -> None:
    _, blind, _ = patrolled(tmp_path / "blind", BUSY, IDLE, by=None)
    assert {each["phase"] for each in blind.values()} == {"unknown"}
    usage = PrometheusUsage(server)
    report, machines, ledger = patrolled(tmp_path / "seeing", BUSY, IDLE, by=usage)
    assert machines["busy"]["phase"] == "active"
    assert machines["idle"]["phase"] == "idle"
    assert machines["idle"]["idle_minutes"] == 115.0
    assert machines["busy"]["measured_by"] == "prometheus:DCGM"
    assert machines["busy"]["why"][-1] == "measured by prometheus:DCGM (100% of the time)"
    calls = report["cost_of_watching"]["api_calls"]
    assert calls["prometheus:query_range"] == 10
    sources = {row["source"] for row in ledger.rows("readings")}
    assert sources == {"prometheus:DCGM", "cloudwatch:AWS/EC2"}


def test_where_an_agent_measures_too_the_choice_is_shown(server: str, tmp_path: Path) -> None:
    asleep = agents(BUSY, *[0.0] * 36)
    awake = agents(GAPPY, *[50.0] * 36)
    usage = PrometheusUsage(server)
    _, machines, _ = patrolled(tmp_path, BUSY, GAPPY, by=usage, also=(asleep, awake))
    assert machines["busy"]["phase"] == "active"
    assert machines["busy"]["why"][-1] == (
        "measured by prometheus:DCGM (100% of the time), not cloudwatch:CWAgent (100% of the time)"
    )
    assert machines["gappy"]["phase"] == "active"
    assert machines["gappy"]["measured_by"] == "cloudwatch:CWAgent"
    assert "not prometheus:DCGM (67% of the time)" in machines["gappy"]["why"][-1]


def test_twins_stay_unmeasured_and_the_label_is_a_gap(server: str, tmp_path: Path) -> None:
    report, machines, _ = patrolled(tmp_path, TWIN_A, TWIN_B, by=PrometheusUsage(server))
    assert {each["phase"] for each in machines.values()} == {"unknown"}
    assert any("Hostname=worker fits 2 machines" in gap["why"] for gap in report["gaps"])


def test_a_prometheus_that_is_down_is_a_gap_and_the_rest_is_still_used(tmp_path: Path) -> None:
    down = PrometheusUsage("http://127.0.0.1:9", timeout_s=2)
    awake = agents(BUSY, *[50.0] * 36)
    report, machines, _ = patrolled(tmp_path, BUSY, by=down, also=(awake,))
    assert machines["busy"]["phase"] == "active"
    assert machines["busy"]["measured_by"] == "cloudwatch:CWAgent"
    (gap,) = report["gaps"]
    assert (gap["provider"], gap["what"]) == ("prometheus", "GPU metrics")
