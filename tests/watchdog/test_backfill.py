"""Which machines of the backfilled days are called unmeasured, and in which order they are told."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from policies.facts import Machine, MachineState, Reading
from policies.rules import load_pack
from tests.builders import NOW, machine, price, reading
from tests.shelf import Shelf
from watchdog.ledger.store import Ledger
from watchdog.patrol import Parts, patrol
from watchdog.patrol_report import BackfillLine

BOOTED = NOW - timedelta(hours=30, minutes=20)
HOURS = 14 * 24 - 3
"""Hourly intervals of the fortnight before the finely read hours."""
RAN = 28
"""Those in which the machine ran, the partial first one included."""
ADVICE = "install the agent"


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(str(tmp_path / "ledger"))


def box(name: str = "trainer-1", **changes: object) -> Machine:
    return machine(name, started_at=BOOTED, first_launched_at=BOOTED, **changes)


def coarse(of: Machine, *pct: float | None, gpu: str | None = "0") -> Reading:
    """The newest hours of the fortnight; nothing was measured before them."""
    values = [*[None] * (HOURS - len(pct)), *pct]
    start = NOW - timedelta(days=14)
    return reading(values, resource=of.id, gpu=gpu, period_s=3600, started_at=start)


def fine(of: Machine, *pct: float | None, gpu: str | None = "0") -> Reading:
    return reading(pct, resource=of.id, gpu=gpu)


def lines(
    ledger: Ledger, *machines: Machine, readings: Sequence[Reading]
) -> dict[str | None, BackfillLine]:
    parts = Parts(
        providers=[Shelf(*machines, readings=readings)],
        ledger=ledger,
        policy=load_pack("observe"),
    )
    return {line.name: line for line in patrol(parts, now=NOW).backfill}


def test_a_measured_machine_without_its_first_hour_is_not_called_unmeasured(
    ledger: Ledger,
) -> None:
    one = box()
    told = lines(ledger, one, readings=[coarse(one, *[0.0] * (RAN - 1)), fine(one, *[0.0] * 36)])[
        "trainer-1"
    ]
    assert told.unmeasured_hours == pytest.approx(20 / 60)
    assert told.unmeasured_usd == pytest.approx(Decimal(20) / 60, abs=Decimal("1e-8"))
    assert told.advice is None


def test_a_few_missing_intervals_are_shown_and_ask_for_nothing(ledger: Ledger) -> None:
    one = box()
    hours = [0.0 if n % 9 else None for n in range(RAN)]
    told = lines(ledger, one, readings=[coarse(one, *hours), fine(one, None, None, *[90.0] * 34)])[
        "trainer-1"
    ]
    assert told.unmeasured_hours > 3
    assert told.advice is None


def test_a_machine_that_went_silent_is_unmeasured_now(ledger: Ledger) -> None:
    one = box()
    readings = [coarse(one, *[0.0] * RAN), fine(one, *[0.0] * 6, *[None] * 30)]
    told = lines(ledger, one, readings=readings)["trainer-1"]
    assert told.idle_hours > 20
    assert told.unmeasured_hours == pytest.approx(2.5)
    assert told.advice == ADVICE


def test_a_machine_that_nobody_measured_is_advised_even_when_it_stopped(ledger: Ledger) -> None:
    gone = box(state=MachineState.STOPPED, metered=False, stopped_at=NOW - timedelta(hours=5))
    told = lines(ledger, gone, readings=[])["trainer-1"]
    assert told.unmeasured_hours == told.total_hours > 25
    assert told.advice == ADVICE


def test_processor_and_network_alone_do_not_measure_a_gpu(ledger: Ledger) -> None:
    """They tell idle from busy only where it is plain; the hours between stay unmeasured."""
    one = box(state=MachineState.STOPPED, metered=False, stopped_at=NOW - timedelta(hours=3))
    busy_then_neither = [*[90.0] * 14, *[5.0] * 14]
    told = lines(ledger, one, readings=[coarse(one, *busy_then_neither, gpu=None)])["trainer-1"]
    assert told.total_hours - told.unmeasured_hours == pytest.approx(14, abs=1)
    assert told.advice == ADVICE
    measured = [*[90.0] * 14, *[None] * 14]
    told = lines(Ledger.open(f"{ledger.url}-2"), one, readings=[coarse(one, *measured)])[
        "trainer-1"
    ]
    assert told.unmeasured_hours == pytest.approx(13.33, abs=1)
    assert told.advice is None


def test_unmeasured_hours_of_a_measured_machine_rank_by_their_dollars(ledger: Ledger) -> None:
    dear, idle, free = box("dear", price=price("98.32")), box("idle"), box("busy")
    unpriced = replace(box("unpriced"), price=price(None))
    readings = [
        coarse(dear, *[90.0] * 20),
        fine(dear, *[90.0] * 36),
        *(coarse(each, *[0.0] * RAN) for each in (idle, unpriced)),
        *(fine(each, *[0.0] * 36) for each in (idle, unpriced)),
        coarse(free, *[90.0] * RAN),
        fine(free, *[90.0] * 36),
    ]
    told = lines(ledger, dear, idle, free, unpriced, readings=readings)
    assert list(told) == ["dear", "idle", "unpriced", "busy"]
    assert told["dear"].advice is None
    assert told["dear"].unmeasured_usd == pytest.approx(
        Decimal("98.32") * Decimal(str(told["dear"].unmeasured_hours)), abs=Decimal("1e-6")
    )
