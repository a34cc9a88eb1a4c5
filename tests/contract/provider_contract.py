"""What every provider promises, written once. An adapter's test class inherits it.

It gives one fixture, `world`: a place with at least two scopes that hold machines, and the means to
look at it, to break it and to count what was asked of it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Protocol

import pytest

from policies.facts import Gap, Machine, MachineState, Scope, Window
from providers.base import Inventory, MetersEgress, Prices, ReadsLifecycle, ReadsUsage, Seen

READING_VERBS = ("AggregatedList", "Describe", "Get", "List", "Lookup", "Sample", "Search")
"""An operation that begins with one of these changes nothing."""
ID = re.compile(
    r"(?P<provider>aws|gcp|azure|local):(?P<account>[^:]+):(?P<region>[^:]+):(?P<native>[^:]+)"
)


class World(Protocol):
    """A stage with machines in several scopes, and what was asked of it."""

    def provider(self) -> Inventory:
        """A fresh adapter over the whole stage."""

    def scopes(self) -> Sequence[Scope]:
        """The scopes that hold machines; one of them machines without a known price."""

    def break_scope(self, scope: Scope) -> None:
        """From now on listing machines fails in this scope."""

    def break_metrics(self, scope: Scope) -> None:
        """From now on reading metrics fails in this scope."""

    def operations(self) -> Mapping[str, int]:
        """What reached the server, by `service:Operation`."""


def window() -> Window:
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    return Window(started_at=end - timedelta(hours=3), ended_at=end, period_s=300)


def by_the_hour() -> Window:
    return replace(window(), period_s=3600)


def place(machine: Machine) -> tuple[str | None, str | None]:
    return machine.account, machine.region


class ProviderContract:
    """Invariants of every adapter, on the stage that its test class sets."""

    @pytest.fixture
    def world(self) -> World:
        raise NotImplementedError("the adapter's test class sets the stage")

    @pytest.fixture
    def seen(self, world: World) -> Seen[Machine]:
        return world.provider().machines()

    def test_machines_are_seen_in_every_scope(self, world: World, seen: Seen[Machine]) -> None:
        assert {(scope.account, scope.region) for scope in world.scopes()} <= set(
            map(place, seen.values)
        )
        assert set(world.scopes()) <= set(seen.scopes)

    def test_ids_are_unique_and_of_the_agreed_form(self, world: World, seen: Seen[Machine]) -> None:
        ids = [machine.id for machine in seen.values]
        assert len(ids) == len(set(ids))
        for machine in seen.values:
            match = ID.fullmatch(machine.id)
            assert match is not None
            assert match["provider"] == machine.provider == world.provider().name
            assert (match["account"], match["region"]) == place(machine)
            assert match["native"] == machine.native_id

    def test_two_listings_are_equal(self, world: World, seen: Seen[Machine]) -> None:
        assert world.provider().machines() == seen

    def test_times_are_aware_and_in_utc(self, seen: Seen[Machine]) -> None:
        for machine in seen.values:
            for moment in (machine.first_launched_at, machine.started_at, machine.stopped_at):
                assert moment is None or moment.utcoffset() == timedelta(0)

    def test_every_machine_has_accelerators_and_a_group(self, seen: Seen[Machine]) -> None:
        for machine in seen.values:
            assert machine.accelerators
            assert all(each.count > 0 for each in machine.accelerators)
            assert machine.group
            assert machine.stop_terms.why

    def test_a_machine_that_runs_is_metered(self, seen: Seen[Machine]) -> None:
        running = [each for each in seen.values if each.state is MachineState.RUNNING]
        assert running
        assert all(machine.metered for machine in running)

    def test_an_unknown_price_is_never_zero_and_says_why(
        self, world: World, seen: Seen[Machine]
    ) -> None:
        provider = world.provider()
        assert isinstance(provider, Prices)
        prices = [provider.price(machine) for machine in seen.values]
        assert any(price.hourly_usd is None for price in prices)
        assert any(price.hourly_usd is not None for price in prices)
        for price in prices:
            if price.hourly_usd is None:
                assert price.why
                assert price.saves_usd in {None, Decimal(0)}
            else:
                assert price.hourly_usd > 0
                assert price.source
                assert price.as_of

    def test_a_scope_that_fails_is_a_gap_and_the_others_still_come(self, world: World) -> None:
        broken, *sound = world.scopes()
        world.break_scope(broken)
        seen = world.provider().machines()
        assert set(map(place, seen.values)) == {(each.account, each.region) for each in sound}
        assert broken not in seen.scopes
        self.told(seen.gaps, broken)

    def test_metrics_that_fail_are_a_gap_and_never_a_number(
        self, world: World, seen: Seen[Machine]
    ) -> None:
        broken, *_ = world.scopes()
        world.break_metrics(broken)
        provider = world.provider()
        assert isinstance(provider, ReadsUsage)
        usage = provider.readings(seen.values, window())
        of_broken = {
            machine.id
            for machine in seen.values
            if place(machine) == (broken.account, broken.region)
        }
        assert all(
            reading.coverage == 0 for reading in usage.values if reading.resource in of_broken
        )
        self.told(usage.gaps, broken)

    def test_readings_lie_on_the_windows_grid(self, world: World, seen: Seen[Machine]) -> None:
        provider = world.provider()
        assert isinstance(provider, ReadsUsage)
        known = {machine.id for machine in seen.values}
        for reading in provider.readings(seen.values, window()).values:
            assert reading.resource in known
            assert reading.started_at == window().started_at
            assert reading.period_s == window().period_s
            assert reading.intervals == window().intervals

    def test_watching_changes_nothing_and_every_call_is_counted(self, world: World) -> None:
        before = Counter(world.operations())
        provider = world.provider()
        machines = provider.machines().values
        if isinstance(provider, ReadsUsage):
            provider.readings(machines, window())
        if isinstance(provider, ReadsLifecycle):
            provider.transitions(machines, window())
        if isinstance(provider, MetersEgress):
            provider.egress(machines, world.scopes(), by_the_hour())
        asked = Counter(world.operations()) - before
        assert asked
        assert [name for name in asked if not name.split(":")[1].startswith(READING_VERBS)] == []
        assert dict(provider.api_calls()) == asked
        usd = provider.watching_usd()
        assert usd is None or usd >= 0

    def test_egress_that_fails_is_a_gap_and_never_a_number(
        self, world: World, seen: Seen[Machine]
    ) -> None:
        broken, *_ = world.scopes()
        world.break_metrics(broken)
        provider = world.provider()
        if not isinstance(provider, MetersEgress):
            pytest.skip("meters no egress")
        found = provider.egress(seen.values, world.scopes(), by_the_hour())
        assert [each for each in found.values if each.scope == broken and each.hours] == []
        self.told(found.gaps, broken)
        for each in found.values:
            assert each.reach in {"internet", "all"}
            assert each.why
            assert each.tariff.tiers or each.tariff.why
            assert all(count >= 0 for count in each.hours.values())

    def test_the_role_that_it_needs_is_told(self, world: World) -> None:
        assert world.provider().role_text()

    def told(self, gaps: Sequence[Gap], scope: Scope) -> None:
        """The gap names its scope and says why in one line."""
        of_scope = [
            gap for gap in gaps if (gap.account, gap.region) == (scope.account, scope.region)
        ]
        assert of_scope
        for gap in of_scope:
            assert gap.provider == scope.provider
            assert gap.what
            assert gap.why
            assert "\n" not in gap.why
