"""A policy over time that was watched: each case is a film of patrols."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.facts import Attribution, Machine, MachineState
from policies.rules import Policy, load_policy
from policies.verdicts import Phase, PhaseNow, Verdict, Veto
from tests.builders import NOW, attribution, machine, price, run
from watchdog import rows
from watchdog.rows import machine_from, machine_row
from watchdog.shadow.remembered import Known
from watchdog.shadow.replay import Replay, Shadow, ShadowStop
from watchdog.shadow.watching import watched

STEP = timedelta(minutes=10)
HEAD = """
schema: spend-watchdog/policy/1
mode: act
limits: {stops_per_patrol: 10, stop_share: 1.0, stop_usd_per_hour: 200, regret_rate: 0.2}
rules:
"""
STOP = """
  - name: idle
    when: workload.verdict == "exploratory" && phase == "idle" && idle.minutes >= 20
    because: It idles.
    then: stop
    grace: 20m
"""
SCOPES = '[{"provider": "aws", "account": "123456789012", "region": "us-east-1"}]'


def policy(rules: str = STOP, **limits: object) -> Policy:
    made = load_policy(HEAD + rules, "p.yaml")
    return replace(made, limits=replace(made.limits, **limits))  # type: ignore[arg-type]


@dataclass
class Film:
    """What was seen at each patrol: ten minutes apart, from `NOW` on."""

    policy: Policy = field(default_factory=policy)
    seen: dict[str, list[Known]] = field(default_factory=dict)
    rows: dict[str, list[rows.Row]] = field(default_factory=dict)
    missed: frozenset[int] = frozenset()

    def shows(self, one: Machine, at: int, phase: Phase, **changes: Any) -> None:
        """How it is from that patrol on; `since` is the patrol at which the pause began."""
        since = changes.pop("since", at)
        when, lag = NOW + at * STEP, changes.pop("lag", timedelta())
        told = Known(
            machine=one.id,
            boot=one.boot,
            at=when,
            phase=PhaseNow(
                phase=phase,
                quiet_since=NOW + since * STEP if phase is Phase.IDLE else None,
                confidence=1.0,
                coverage=1.0,
                why=("GPU 0 at 0 %",),
                source="cloudwatch:CWAgent",
                measured_until=None if phase is Phase.UNKNOWN else when - lag,
            ),
            lag=lag,
            active_from=changes.pop("active_from", when if phase is Phase.ACTIVE else None),
            activity_s=3600.0,
            attribution=changes.pop("attribution", attribution()),
            verdict=changes.pop("verdict", Verdict.EXPLORATORY),
            score=0.2,
            runs=3,
            hourly_usd=one.price.hourly_usd,
            vetoes=changes.pop("vetoes", ()),
            why=("GPU 0 at 0 %",),
        )
        assert not changes
        self.seen.setdefault(one.id, []).append(told)
        self.listed(one, at)

    def listed(self, one: Machine, at: int) -> None:
        self.rows.setdefault(one.id, []).append(machine_row(one, NOW + at * STEP))

    def played(self, patrols: int, **runs: Any) -> Replay:
        told = [
            {"at": NOW + n * STEP, "scopes_json": SCOPES, "mode": "observe"}
            for n in range(patrols)
            if n not in self.missed
        ]
        seen = watched(told, since=NOW, until=NOW + (patrols - 1) * STEP)
        shadow = Shadow(
            self.policy, judgements=self.seen, observations=self.rows, runs=runs.get("runs", [])
        )
        return shadow.replayed(seen, lambda _: None)


def minutes(stop: ShadowStop) -> Mapping[str, float | None]:
    """From `NOW` on."""

    def after(at: datetime | None) -> float | None:
        return None if at is None else (at - NOW).total_seconds() / 60

    return {"warned": after(stop.warned_at), "at": after(stop.at), "ended": after(stop.ended_at)}


def test_it_is_stopped_after_its_warning_and_grace_and_saves_until_the_end() -> None:
    film = Film()
    film.shows(machine(), 0, Phase.IDLE)
    (stop,) = film.played(13).stops
    assert minutes(stop) == {"warned": 20, "at": 40, "ended": None}
    assert stop.saved.time == timedelta(minutes=80)
    assert stop.saved.usd is not None
    assert stop.saved.usd.quantize(Decimal("0.0001")) == Decimal("1.3333")


def test_work_again_within_half_an_hour_is_a_regret() -> None:
    film = Film()
    film.shows(machine(), 0, Phase.IDLE)
    film.shows(machine(), 6, Phase.ACTIVE, active_from=NOW + timedelta(minutes=55))
    (stop,) = film.played(13).stops
    assert minutes(stop) == {"warned": 20, "at": 40, "ended": 55}
    assert stop.back_soon
    assert stop.saved.time == timedelta(minutes=15)


def test_work_between_two_patrols_is_seen_by_the_pause_that_follows() -> None:
    film = Film()
    film.shows(machine(), 0, Phase.IDLE)
    film.shows(machine(), 9, Phase.IDLE, since=8, active_from=NOW + timedelta(minutes=72))
    first, second = film.played(20).stops
    assert (first.back_soon, minutes(first)["ended"]) == (False, 72)
    assert minutes(second) == {"warned": 100, "at": 120, "ended": None}


def test_a_start_is_a_return_and_a_stop_by_others_is_none() -> None:
    film = Film()
    old, off = machine("old"), machine("off")
    for each in (old, off):
        film.shows(each, 0, Phase.IDLE)
    again = replace(old, started_at=NOW + timedelta(minutes=57))
    film.shows(again, 6, Phase.ACTIVE)
    gone = replace(
        off, state=MachineState.STOPPED, stopped_at=NOW + timedelta(minutes=62), metered=False
    )
    film.listed(gone, 7)
    stops = {each.machine.name: each for each in film.played(13).stops}
    assert (stops["old"].back_soon, minutes(stops["old"])["ended"]) == (True, 57)
    assert (stops["off"].back, minutes(stops["off"])["ended"]) == (False, 62)
    assert stops["off"].saved.time == timedelta(minutes=22)


def test_what_is_unmeasured_after_the_stop_saves_nothing() -> None:
    film = Film()
    film.shows(machine(), 0, Phase.IDLE)
    film.shows(machine(), 6, Phase.UNKNOWN)
    (stop,) = film.played(13).stops
    assert stop.saved.time == timedelta(minutes=10)


def test_time_that_nobody_watched_is_no_saving() -> None:
    film = Film(missed=frozenset(range(8, 20)))
    film.shows(machine(), 0, Phase.IDLE)
    (stop,) = film.played(25).stops
    assert stop.saved.time == timedelta(minutes=30 + 40)


def test_a_veto_of_then_holds_and_its_time_is_told_with_the_reason() -> None:
    film = Film()
    kept = (Veto(name="kept", why="it is kept by ana"),)
    film.shows(machine(), 0, Phase.IDLE, vetoes=kept)
    film.shows(machine(), 5, Phase.IDLE, since=0)
    told = film.played(13)
    (held,) = told.undecided
    assert (held.reason, held.why, held.rule) == ("kept", "it is kept by ana", "idle")
    assert held.burnt.time == timedelta(minutes=20)
    (stop,) = told.stops
    assert minutes(stop) == {"warned": 50, "at": 70, "ended": None}


def test_an_unpriced_machine_is_unpriced_and_never_free() -> None:
    film = Film()
    unpriced = machine(price=price(None))
    film.shows(unpriced, 0, Phase.IDLE, vetoes=(Veto(name="unpriced", why="no price"),))
    told = film.played(13)
    assert not told.stops
    (held,) = told.undecided
    assert (held.reason, held.burnt.usd) == ("unpriced", None)


def test_a_group_is_stopped_as_one_or_not_at_all() -> None:
    film = Film()
    a, b = machine("a", group="g"), machine("b", group="g")
    film.shows(a, 0, Phase.IDLE)
    film.shows(b, 0, Phase.IDLE, vetoes=(Veto(name="typing", why="somebody typed"),))
    told = film.played(13)
    assert not told.stops
    assert {each.reason for each in told.undecided} == {"typing", "group"}
    film = Film()
    film.shows(a, 0, Phase.IDLE)
    film.shows(b, 0, Phase.ACTIVE)
    assert not film.played(13).stops
    film.shows(b, 5, Phase.IDLE)
    assert {minutes(each)["at"] for each in film.played(20).stops} == {90}


def test_who_was_warned_first_waits_for_the_rest_of_its_group() -> None:
    film = Film()
    a, b = machine("a", group="g"), machine("b", group="g")
    film.shows(a, 0, Phase.IDLE)
    film.shows(b, 3, Phase.IDLE)
    stops = [minutes(each) for each in film.played(13).stops]
    assert [(each["warned"], each["at"]) for each in stops] == [(20, 70), (50, 70)]


def test_nothing_is_stopped_that_was_not_measured_since_its_warning() -> None:
    film = Film()
    film.shows(machine(), 0, Phase.IDLE, lag=timedelta(minutes=25))
    (stop,) = film.played(13).stops
    assert minutes(stop) == {"warned": 50, "at": 80, "ended": None}


def test_one_patrol_stops_no_more_than_its_limit_the_dearest_first() -> None:
    film = Film(policy=policy(stops_per_patrol=1))
    film.shows(machine("cheap"), 0, Phase.IDLE)
    film.shows(machine("dear", price=price("5")), 0, Phase.IDLE)
    stops = [(each.machine.name, minutes(each)["at"]) for each in film.played(13).stops]
    assert stops == [("dear", 40), ("cheap", 50)]


def test_a_condition_that_lacks_a_value_decides_nothing_and_says_so() -> None:
    rules = STOP.replace("when: workload", "when: cost.day_usd > 1.0 && workload")
    film = Film(policy=policy(rules + STOP.replace("name: idle", "name: second")))
    film.shows(machine(), 0, Phase.IDLE)
    told = film.played(13)
    assert not told.stops
    (held,) = told.undecided
    assert held.reason == "not evaluated"
    assert "cost.day_usd" in held.why


@pytest.mark.parametrize("verdict", [Verdict.MATURE, Verdict.UNKNOWN])
def test_the_verdict_is_that_of_the_moment(verdict: Verdict) -> None:
    film = Film()
    film.shows(machine(), 0, Phase.IDLE, verdict=verdict)
    film.shows(machine(), 12, Phase.IDLE, since=0)
    (stop,) = film.played(20).stops
    assert minutes(stop) == {"warned": 120, "at": 140, "ended": None}


def test_patience_learns_only_from_runs_that_were_known_then() -> None:
    rules = STOP.replace("idle.minutes >= 20", "patience.left_minutes <= 0")
    film = Film(policy=policy(rules))
    film.shows(machine(), 0, Phase.IDLE)
    runs = [
        run(
            f"r{n}",
            started_at=NOW - timedelta(minutes=17 * n + 2),
            ended_at=NOW - timedelta(minutes=17 * n),
            host="h",
        )
        for n in range(200)
    ]
    known = [(NOW - timedelta(hours=1), each) for each in runs]
    late = [(NOW + timedelta(hours=1), each) for each in runs]

    def stops(several: Sequence[tuple[datetime, object]]) -> list[Mapping[str, float | None]]:
        return [minutes(each) for each in film.played(40, runs=several).stops]

    assert stops(late) == stops([])
    assert stops(known) != stops([])


def test_a_machine_comes_back_from_its_row_as_the_engine_needs_it() -> None:
    one = machine(gpus=4, tags={"team": "a"})
    back = machine_from(machine_row(one, NOW))
    assert (back.id, back.boot, back.group, back.gpus) == (one.id, one.boot, one.group, 4)
    assert (back.gpu_model, back.price, back.tags) == (one.gpu_model, one.price, one.tags)
    assert (back.stop_terms, back.state, back.purchase) == (
        one.stop_terms,
        one.state,
        one.purchase,
    )


STATES = st.sampled_from([Phase.IDLE, Phase.ACTIVE, Phase.UNKNOWN])


@settings(max_examples=60, deadline=None)
@given(states=st.lists(STATES, min_size=8, max_size=30), cut=st.integers(min_value=2, max_value=30))
def test_no_decision_looks_ahead(states: list[Phase], cut: int) -> None:
    """Cut off anywhere, all that was decided until then is the same."""

    def stops(length: int) -> set[tuple[datetime, datetime]]:
        film, began = Film(), 0
        for n, phase in enumerate(states[:length]):
            if n and states[n - 1] is phase:
                continue
            began = n
            film.shows(machine(), n, phase, since=began)
        return {(each.warned_at, each.at) for each in film.played(length).stops}

    length = min(cut, len(states))
    until = NOW + (length - 1) * STEP
    assert stops(length) == {each for each in stops(len(states)) if each[1] <= until}


def test_an_unmeasured_machine_is_never_stopped_and_its_dollars_are_told() -> None:
    film = Film()
    film.shows(machine(price=price("6")), 0, Phase.UNKNOWN)
    told = film.played(13)
    assert not told.stops
    (held,) = told.undecided
    assert (held.reason, held.burnt.usd) == ("unmeasured", Decimal(12))


def test_the_attribution_of_then_names_the_team() -> None:
    film = Film()
    whose = Attribution(
        resource=machine().id, started_at=NOW, ended_at=None, workload="w", rule="tag", owner="ana"
    )
    film.shows(machine(), 0, Phase.IDLE, attribution=whose)
    (stop,) = film.played(13).stops
    assert stop.known.attribution.owner == "ana"
