"""Two and a half days at a real AWS API in which patrols only observed: the shadow report counts
what a policy would have stopped. All figures are counted by hand from the hours below.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from policies.rules import load_policy
from tests.moto_aws import AwsServer
from tests.scenarios.acting_world import People, World, start
from tests.test_cli import Shell
from watchdog.patrol import patrol
from watchdog.shadow.report import ShadowReport, shadow_report

pytestmark = pytest.mark.slow
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
WATCHED = 60 * HOUR
POLICY = """
schema: spend-watchdog/policy/1
mode: act
restart_cost: 15m
limits: {stops_per_patrol: 10, stop_share: 1.0, stop_usd_per_hour: 200, regret_rate: 0.2}
rules:
  - name: idle-exploratory
    when: workload.verdict == "exploratory" && phase == "idle" && idle.minutes >= 30
    because: An idle GPU on work that is still being discovered.
    then: stop
    grace: 30m
  - name: quiet
    when: phase in ["idle", "parked", "hung"] && idle.minutes >= 30
    because: The meter runs.
    then: notify
"""
PATIENT = POLICY.replace(
    "idle.minutes >= 30\n    because: An", "idle.minutes >= 120\n    because: An"
)


@pytest.fixture(scope="module")
def world(server: AwsServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Patrols every ten minutes for two hours, then every two; from hour 20 to 28 nobody watches.

    `weekend` computes until hour 0 and never again. `lunch` computes until hour 0, and again from
    an hour and twenty minutes on. `kept` is as idle as the first and protected. `dark` is measured
    by nobody.
    """
    server.reset()
    with pytest.MonkeyPatch.context() as patched, People() as people:
        for name, value in server.environment.items():
            patched.setenv(name, value)
        patched.delenv("AWS_PROFILE", raising=False)
        folder = tmp_path_factory.mktemp("shadow")
        made = World(server, people, folder, POLICY, now=start() - WATCHED - HOUR)
        made.failed("lost-cause", 5, owner="ana")
        made.failed("lunch-work", 5, owner="bo")
        idle = [0.0]
        weekend = made.machine("weekend", told={"spend-watchdog:owner": "ana"})
        lunch = made.machine("lunch", workload="lunch-work", told={"spend-watchdog:owner": "bo"})
        made.failed("kept-work", 5)
        kept = made.machine("kept", workload="kept-work", told={"spend-watchdog:protected": "true"})
        made.machine("dark", workload=None)
        for each in (weekend, lunch, kept):
            made.measured(each, gpu=[90.0], until=timedelta())
            made.measured(each, gpu=idle, since=timedelta(), until=WATCHED + HOUR)
        made.measured(lunch, gpu=[90.0], since=80 * MINUTE, until=WATCHED + HOUR)
        times = [n * 10 * MINUTE for n in range(12)] + [n * HOUR for n in range(2, 61, 2)]
        for after in times:
            if after <= 20 * HOUR or after >= 28 * HOUR:
                made.now = made.begin + after
                patrol(replace(made.parts(), acting=None), now=made.now)
        yield made


def report(world: World, policy: str = POLICY, **until: Any) -> ShadowReport:
    return shadow_report(
        world.ledger,
        load_policy(policy, "tried.yaml"),
        asked=True,
        since=world.begin,
        until=world.begin + until.get("until", WATCHED),
        progress=lambda _: None,
    )


def price(told: ShadowReport) -> Decimal:
    (stop,) = [each for each in told.replay.stops if each.machine.name == "weekend"]
    assert stop.machine.price.hourly_usd is not None
    return stop.machine.price.hourly_usd


def test_what_would_have_been_stopped_and_what_became_of_it(world: World) -> None:
    told = report(world)
    by_name = {each.machine.name: each for each in told.replay.stops}
    assert by_name.keys() == {"weekend", "lunch"}
    for stop in by_name.values():
        assert stop.warned_at == world.begin + 30 * MINUTE
        assert stop.at == world.begin + 60 * MINUTE
        assert stop.rule == "idle-exploratory"
    weekend, lunch = by_name["weekend"], by_name["lunch"]
    assert (weekend.ended_at, weekend.back_soon) == (None, False)
    assert weekend.saved.time == 59 * HOUR - 8 * HOUR
    assert weekend.saved.usd == 51 * price(told)
    assert (lunch.back_after, lunch.back_soon) == (20 * MINUTE, True)
    assert lunch.saved.time == 20 * MINUTE


def test_the_figures_of_rules_and_workloads(world: World) -> None:
    told = report(world)
    rule, quiet = told.rules
    hourly = price(told)
    assert (rule.name, rule.warned, rule.stops, rule.back_soon) == ("idle-exploratory", 2, 2, 1)
    assert rule.saved == 51 * HOUR + 20 * MINUTE
    assert rule.saved_usd == 51 * hourly + hourly * 1200 / 3600
    assert rule.restarts_usd == hourly / 4
    assert (quiet.name, quiet.stops, quiet.warned) == ("quiet", 0, 0)
    assert {each.name: (each.owner, each.stops) for each in told.workloads} == {
        "ana/lost-cause": ("ana", 1),
        "bo/lunch-work": ("bo", 1),
        "kept-work": (None, 0),
        "dark": (None, 0),
    }


def test_what_could_not_be_decided_is_ranked_with_its_reason(world: World) -> None:
    told = report(world)
    held = {each.name: each for each in told.held}
    assert held.keys() == {"kept", "dark"}
    assert held["kept"].reason == "protected"
    assert held["kept"].burnt.time == 60 * HOUR - 30 * MINUTE - 8 * HOUR
    assert held["kept"].burnt.usd == price(told) * Decimal("51.5")
    assert held["dark"].reason == "unmeasured"
    assert held["dark"].burnt.time == 52 * HOUR
    assert "no metric of this machine was found" in held["dark"].why


def test_time_that_nobody_watched_is_told_and_counts_nowhere(world: World) -> None:
    told = report(world)
    assert told.watched.observed == 52 * HOUR
    (gaps,) = told.watched.gaps.values()
    assert gaps == [(world.begin + 20 * HOUR, world.begin + 28 * HOUR)]


def test_another_policy_is_tried_over_the_same_time(world: World) -> None:
    told = report(world, PATIENT)
    (stop,) = told.replay.stops
    assert (stop.machine.name, stop.warned_at) == ("weekend", world.begin + 2 * HOUR)
    assert stop.at == world.begin + 4 * HOUR
    assert stop.saved.time == 56 * HOUR - 8 * HOUR


def test_no_decision_looks_ahead(world: World) -> None:
    """With less of the future, all that was decided by then is the same."""
    whole, half = report(world), report(world, until=70 * MINUTE)
    made = {(one.machine.id, one.warned_at, one.at) for one in whole.replay.stops}
    assert {(one.machine.id, one.warned_at, one.at) for one in half.replay.stops} == made
    assert not any(one.back_soon for one in half.replay.stops)


def test_few_rows_are_kept_of_a_pause(world: World) -> None:
    rows = [row for row in world.ledger.rows("events") if row["kind"] == "judged"]
    assert len({row["machine"] for row in rows}) == 4
    assert len(rows) < 40


def test_the_command_says_it_to_people_and_to_programs(world: World, tmp_path: Path) -> None:
    shell = Shell(tmp_path, {})
    (tmp_path / "tried.yaml").write_text(POLICY, encoding="utf-8")
    since, until = (at.isoformat() for at in (world.begin, world.begin + WATCHED))
    asked = ("report", "--shadow", "--ledger", world.ledger.url, "--policy", "tried.yaml")
    done = shell(*asked, "--since", since, "--until", until)
    assert done.code == 0, done.err
    assert "It would have stopped 2 times" in done.out
    assert "1 came back within 30 minutes" in done.out
    assert "that time counts nowhere" in done.out
    assert 'workload.owner == "ana"' in done.out
    assert "[ ] `heartbeat_url`" in done.out
    told = shell(*asked, "--since", since, "--until", until, "--json").json
    assert told["schema"] == "spend-watchdog/shadow/1"
    assert told["observed_hours"] == 52.0
    assert [each["back_after_minutes"] for each in told["stops"]] in ([None, 20.0], [20.0, None])
    assert told["ready"][0]["ready"] is False
    pack = shell(*asked[:4], "--since", since, "--until", until)
    assert "never goes further than to notify, so pack default is tried" in pack.out
