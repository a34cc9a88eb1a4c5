"""One group, looked at now: as a patrol judges it, and nothing else is measured or remembered."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from policies.facts import Machine, Reading
from policies.rules import load_pack
from policies.verdicts import Phase
from tests.builders import NOW, machine, price, reading
from tests.shelf import Shelf
from watchdog.judging_now import judged_now
from watchdog.ledger.store import Ledger
from watchdog.patrol import Parts, patrol

HEAD, WORKER = machine("head", group="ray-1"), machine("worker", group="ray-1")
OTHER = machine("other")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(str(tmp_path / "ledger"))


def parts(ledger: Ledger, shelf: Shelf) -> Parts:
    return Parts(providers=[shelf], ledger=ledger, policy=load_pack("observe"))


def quiet(of: Machine, hours: float = 3) -> Reading:
    """Nothing, up to now."""
    count = int(hours * 12)
    begin = NOW - timedelta(hours=hours)
    memory = [10.0] * count
    return reading([0.0] * count, resource=of.id, started_at=begin, memory_used_mib=memory)


def test_only_its_group_is_measured(ledger: Ledger) -> None:
    readings = [quiet(HEAD), quiet(WORKER), quiet(OTHER)]
    shelf = Shelf(HEAD, WORKER, OTHER, readings=readings)
    sighting = judged_now(parts(ledger, shelf), HEAD.id, now=NOW)
    assert sighting.machine is not None
    assert (sighting.machine.machine, sighting.machine.phase.phase) == (HEAD, Phase.IDLE)
    assert [each.machine for each in sighting.company] == [WORKER]
    assert {asked for asked, _ in shelf.asked} == {2}
    assert shelf.history_asked == []


def test_it_judges_a_long_pause_as_the_patrol_before_it_did(ledger: Ledger) -> None:
    """The start of the pause lies before the hours that are read again."""
    start = NOW - timedelta(hours=3)
    early = reading(
        [90.0] * 12 + [0.0] * 24,
        resource=HEAD.id,
        started_at=start,
        memory_used_mib=[10.0] * 36,
    )
    patrol(parts(ledger, Shelf(HEAD, readings=[early])), now=NOW)
    later = NOW + timedelta(hours=4)
    since = NOW + timedelta(hours=1)
    late = reading([0.0] * 36, resource=HEAD.id, started_at=since, memory_used_mib=[10.0] * 36)
    sighting = judged_now(parts(ledger, Shelf(HEAD, readings=[late])), HEAD.id, now=later)
    assert sighting.machine is not None
    assert sighting.machine.phase.quiet_since == start + timedelta(hours=1)


def test_nothing_is_remembered(ledger: Ledger) -> None:
    judged_now(parts(ledger, Shelf(HEAD, OTHER, readings=[quiet(HEAD)])), HEAD.id, now=NOW)
    for table in ("machines", "readings", "charges", "patrols", "events"):
        assert ledger.rows(table) == []


def test_what_a_stop_saves_is_what_the_last_patrol_worked_out(ledger: Ledger) -> None:
    """It saw what the whole fleet is committed to; one group cannot tell."""
    paid = replace(price("1.00"), saves_usd=Decimal(0))
    covered = machine("head", price=paid)
    patrol(parts(ledger, Shelf(covered, readings=[quiet(covered)])), now=NOW)
    shelf = Shelf(machine("head"), readings=[quiet(covered)])
    sighting = judged_now(parts(ledger, shelf), covered.id, now=NOW)
    assert sighting.machine is not None
    assert sighting.machine.machine.price.saves_usd == 0
    again = machine("head", started_at=NOW - timedelta(minutes=10))
    sighting = judged_now(parts(ledger, Shelf(again)), covered.id, now=NOW)
    assert sighting.machine is not None
    anew = sighting.machine.machine.price
    assert anew.saves_usd == Decimal("1.00"), "another boot is priced anew"


def test_what_breaks_is_a_gap(ledger: Ledger) -> None:
    sighting = judged_now(parts(ledger, Shelf(HEAD, breaks=True)), HEAD.id, now=NOW)
    assert sighting.machine is not None
    assert sighting.machine.phase.phase is Phase.UNKNOWN
    assert "adapter broke" in sighting.gaps[0].why
