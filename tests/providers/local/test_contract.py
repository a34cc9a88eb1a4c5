"""The workstation keeps the contract of all providers, read from the compiled library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from math import isnan
from pathlib import Path

import pytest

from policies.facts import Machine, Scope
from providers.local.adapter import LocalProvider
from providers.local.host import Host, HostUse
from tests.contract.provider_contract import ProviderContract, World, window
from tests.providers.local.standin import Desk
from tests.providers.local.test_local_prices import Wishes

HOST = Host(
    name="desk",
    identity="0123456789abcdef",
    booted_at=datetime(2026, 3, 1, 8, 0, tzinfo=UTC),
    vcpus=32,
    system="Linux",
)
USE = HostUse(
    cpu_pct=3.0, received_bytes_per_s=10.0, sent_bytes_per_s=20.0, written_bytes_per_s=None
)
SCOPE = Scope(provider="local", account="desk", region="local")


@dataclass
class LocalWorld:
    """One scope with one machine: a workstation has no more."""

    desk: Desk
    log: Path
    wishes: Wishes = field(default_factory=Wishes)

    def __post_init__(self) -> None:
        self.desk.says |= {"STANDIN_GPUS": "2", "STANDIN_LOG": str(self.log)}

    def provider(self) -> LocalProvider:
        return LocalProvider(
            self.wishes,
            sampler=self.desk.sample,
            host=lambda: HOST,
            use=lambda: USE,
            clock=lambda: window().ended_at,
        )

    def scopes(self) -> Sequence[Scope]:
        return [SCOPE]

    def break_scope(self, scope: Scope) -> None:
        self.desk.says["STANDIN_INIT"] = "9"

    def break_metrics(self, scope: Scope) -> None:
        self.break_scope(scope)

    def operations(self) -> Mapping[str, int]:
        lines = self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []
        return {"nvml:Sample": len(lines)} if lines else {}


class TestLocalKeepsTheContract(ProviderContract):
    @pytest.fixture
    def world(self, desk: Desk, tmp_path: Path) -> World:
        return LocalWorld(desk, tmp_path / "log")

    def test_an_unknown_price_is_never_zero_and_says_why(self, world: World, seen: object) -> None:
        """One machine has one price: here the settings decide whether it is known."""
        assert isinstance(world, LocalWorld)
        (machine,) = world.provider().machines().values
        unknown = world.provider().price(machine)
        assert unknown.hourly_usd is None
        assert unknown.why
        world.wishes = Wishes(electricity_usd_per_kwh=Decimal("0.30"))
        provider = world.provider()
        provider.machines()
        price = provider.price(machine)
        assert price.hourly_usd == Decimal("0.0366")
        assert (price.source, price.as_of) == ("settings", window().ended_at.date().isoformat())


@pytest.fixture
def world(desk: Desk, tmp_path: Path) -> LocalWorld:
    return LocalWorld(desk, tmp_path / "log")


def machine_of(world: LocalWorld) -> Machine:
    (machine,) = world.provider().machines().values
    return machine


def test_the_machine_is_this_host_with_its_cards(world: LocalWorld) -> None:
    machine = machine_of(world)
    assert machine.id == "local:desk:local:0123456789abcdef"
    assert (machine.gpus, machine.gpu_model) == (2, "A100-SXM4-80GB")
    assert machine.gpu_memory_mib == 81920
    assert machine.started_at == HOST.booted_at
    assert machine.stop_terms.can_stop is False


def test_a_lost_card_still_counts_as_one_of_the_machines(world: LocalWorld) -> None:
    world.desk.says["STANDIN_SECOND"] = "15"
    machine = machine_of(world)
    assert machine.gpus == 2
    assert machine.gpu_model == "A100-SXM4-80GB + unknown GPU"
    (gap,) = world.provider().readings([machine], window()).gaps
    assert gap.why == "GPU 1 tells no utilisation (GPU is lost)"
    assert gap.resource == machine.id


def test_slices_are_counted_and_a_silent_slice_is_told(world: LocalWorld) -> None:
    world.desk.says |= {"STANDIN_GPUS": "1", "STANDIN_MIG": "2"}
    machine = machine_of(world)
    assert (machine.gpus, machine.gpu_memory_mib) == (2, 40960)
    gaps = world.provider().readings([machine], window()).gaps
    assert [gap.why.split(" tells")[0] for gap in gaps] == ["GPU MIG-0-0", "GPU MIG-0-1"]
    assert "DCGM has" in gaps[0].why


def test_a_sample_is_the_last_interval_and_nothing_is_known_before(world: LocalWorld) -> None:
    world.desk.says |= {"STANDIN_PCT": "40", "STANDIN_HELD_MIB": "2048"}
    first, second, host = world.provider().readings([machine_of(world)], window()).values
    assert (first.gpu, second.gpu, host.gpu) == ("0", "1", None)
    for reading in (first, second, host):
        assert all(map(isnan, reading.utilisation_max_pct[:-1]))
    assert first.utilisation_max_pct[-1] == 40.0
    assert first.memory_used_mib is not None
    assert first.memory_used_mib[-1] == 2048.0
    assert first.power_w is not None
    assert first.power_w[-1] == 61.0
    assert host.utilisation_max_pct[-1] == 3.0
    assert host.received_bytes is not None
    assert host.received_bytes[-1] == 10.0 * 300
    assert host.written_bytes is not None
    assert isnan(host.written_bytes[-1])


def test_of_a_window_that_ended_long_ago_nothing_is_known(world: LocalWorld) -> None:
    whole = window()
    machine = machine_of(world)
    before = world.operations()["nvml:Sample"]
    old = type(whole)(
        started_at=whole.started_at.replace(year=2020),
        ended_at=whole.ended_at.replace(year=2020),
        period_s=3600,
    )
    assert world.provider().readings([machine], old).values == ()
    assert world.operations()["nvml:Sample"] == before


def test_doctor_is_told_what_answers_and_what_is_not_set(world: LocalWorld) -> None:
    world.desk.says["STANDIN_SECOND"] = "15"
    told = {probe.what: (probe.ok, probe.told) for probe in world.provider().probes()}
    assert told["NVIDIA driver"] == (True, "version 550.54.15, 2 GPU(s)")
    assert told["GPU 0"] == (True, "A100-SXM4-80GB: 0 %, 0.0 of 80.0 GiB")
    assert told["GPU 1"] == (None, "unknown GPU: no utilisation (GPU is lost)")
    assert told["price"][0] is None
    world.desk.says["STANDIN_INIT"] = "9"
    (probe,) = world.provider().probes()
    assert (probe.ok, probe.what) == (False, "NVIDIA driver")
