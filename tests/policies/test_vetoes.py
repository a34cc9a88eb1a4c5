"""Why a machine may not be stopped: each reason alone, and nothing else stands in its way."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.facts import Price, StopTerms, WorkloadKind
from policies.verdicts import Phase, PhaseNow, Verdict
from policies.vetoes import (
    FOR_GOOD,
    NAMES,
    VETOES,
    Look,
    can_be_overridden,
    stale,
    vetoes_of,
)
from tests.builders import NOW, machine, price

PERIOD = timedelta(minutes=5)


def phase(**changes: Any) -> PhaseNow:
    values: dict[str, Any] = {
        "phase": Phase.IDLE,
        "quiet_since": NOW - timedelta(hours=2),
        "confidence": 0.98,
        "coverage": 1.0,
        "why": (),
        "source": "cloudwatch:CWAgent",
        "measured_until": NOW,
    }
    return PhaseNow(**(values | changes))


def look(**changes: Any) -> Look:
    values: dict[str, Any] = {
        "machine": machine(),
        "phase": phase(),
        "kind": WorkloadKind.TRAINING,
        "verdict": Verdict.EXPLORATORY,
        "now": NOW,
        "host_activity": (),
    }
    return Look(**(values | changes))


def terms(**changes: Any) -> StopTerms:
    return replace(machine().stop_terms, **changes)


AGAINST = {
    "protected": look(machine=machine(stop_terms=terms(protected="tag x=true"))),
    "service": look(kind=WorkloadKind.SERVICE),
    "mature": look(verdict=Verdict.MATURE),
    "kept": look(kept_until=NOW + timedelta(minutes=1), kept_by="ana"),
    "uncertain": look(phase=phase(confidence=0.89)),
    "host_at_work": look(host_activity=("its CPU is at 97 %",)),
    "typing": look(machine=machine(last_input_at=NOW - timedelta(minutes=29))),
    "cannot_stop": look(machine=machine(stop_terms=terms(can_stop=None, why="nobody knows"))),
    "loses_data": look(machine=machine(stop_terms=terms(loses=("250 GB of local NVMe disk",)))),
    "controller": look(machine=machine(stop_terms=terms(controller="Auto Scaling group a"))),
    "prepaid": look(machine=machine(stop_terms=terms(prepaid="capacity block cb-1"))),
    "unpriced": look(machine=machine(price=price(None))),
}


def test_every_veto_has_its_case() -> None:
    assert AGAINST.keys() == {name for name, _ in VETOES}
    assert AGAINST.keys() < NAMES


@pytest.mark.parametrize("name", AGAINST)
def test_each_reason_stands_alone_in_one_sentence(name: str) -> None:
    (veto,) = vetoes_of(AGAINST[name])
    assert veto.name == name
    assert veto.why
    assert "\n" not in veto.why


def test_without_a_reason_it_may_be_stopped() -> None:
    assert vetoes_of(look()) == ()


@pytest.mark.parametrize(
    "innocent",
    [
        look(kept_until=NOW),
        look(machine=machine(last_input_at=NOW - timedelta(minutes=30))),
        look(phase=phase(confidence=0.9, coverage=0.8)),
        look(kind=WorkloadKind.UNKNOWN, verdict=Verdict.UNKNOWN),
    ],
)
def test_at_the_edge_of_a_reason_it_may_be_stopped(innocent: Look) -> None:
    assert vetoes_of(innocent) == ()


@pytest.mark.parametrize(
    "unknown",
    [
        look(host_activity=None),
        look(phase=phase(coverage=0.79)),
        look(phase=phase(phase=Phase.UNKNOWN)),
        look(machine=machine(stop_terms=terms(can_stop=None, why="?"))),
    ],
)
def test_what_is_not_known_forbids(unknown: Look) -> None:
    assert vetoes_of(unknown)


def test_time_that_is_paid_for_saves_nothing() -> None:
    free = Price(hourly_usd=Decimal(3), basis="list", source="t", as_of=None, saves_usd=Decimal(0))
    (veto,) = vetoes_of(look(machine=machine(price=free)))
    assert veto.name == "prepaid"


@given(names=st.sets(st.sampled_from(sorted(AGAINST))))
def test_more_reasons_never_make_fewer(names: set[str]) -> None:
    merged = look()
    for name in names:
        each = AGAINST[name]
        changed = {
            field: getattr(each, field)
            for field in ("phase", "kind", "verdict", "host_activity", "kept_until")
            if getattr(each, field) != getattr(look(), field)
        }
        merged = replace(merged, **changed)
        if each.machine != look().machine:
            merged = replace(merged, machine=each.machine)
    assert bool(vetoes_of(merged)) == bool(names)


def test_a_look_is_fresh_only_beyond_the_warning_and_within_two_periods() -> None:
    warned = NOW - timedelta(minutes=20)

    def told(measured_until: Any) -> str | None:
        seen = phase(measured_until=measured_until)
        return stale(seen, warned_at=warned, now=NOW, period=PERIOD)

    assert told(NOW - 2 * PERIOD) is None
    assert told(NOW - 2 * PERIOD - timedelta(seconds=1)) is not None
    assert told(None) is not None
    assert stale(phase(), warned_at=NOW, now=NOW, period=PERIOD) is not None


def test_a_keep_whose_end_nobody_can_read_holds_for_good() -> None:
    (veto,) = vetoes_of(look(kept_until=FOR_GOOD, kept_by="tag keep-until=soon, which is no date"))
    assert veto.why == "it is kept for good by tag keep-until=soon, which is no date"


def test_a_person_can_override_all_but_what_would_fail_or_end_the_machine() -> None:
    final = {
        name
        for name, against in AGAINST.items()
        for veto in vetoes_of(against)
        if not can_be_overridden(veto, against.machine)
    }
    assert final == {"controller"}
    for can_stop, allowed in ((False, False), (None, True)):
        against = look(machine=machine(stop_terms=terms(can_stop=can_stop, why="?")))
        (veto,) = vetoes_of(against)
        assert can_be_overridden(veto, against.machine) is allowed
