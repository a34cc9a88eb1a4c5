"""The shadow report in words: empty states, gaps, the road, and a rule for one team."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from policies.rules import load_pack, load_policy
from policies.verdicts import Phase
from tests.builders import NOW, attribution, machine
from tests.test_cli import Shell
from tests.watchdog.shadow.test_replay import HEAD, SCOPES, STEP, STOP, Film
from watchdog.ledger.store import Ledger
from watchdog.settings import Settings
from watchdog.shadow.report import Ready, ShadowReport, shadow_report
from watchdog.shadow.shown import head_lines, road_lines, rule_for_a_team, shadow_json, tables

DAY = timedelta(days=1)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(str(tmp_path / "ledger"))


def patrols(ledger: Ledger, count: int) -> None:
    ledger.append(
        "patrols",
        [
            {"patrol_id": f"p{n}", "at": NOW + n * STEP, "scopes_json": SCOPES, "mode": "observe"}
            for n in range(count)
        ],
    )


def reported(ledger: Ledger, name: str = "observe", **changes: Any) -> ShadowReport:
    told: dict[str, Any] = {"asked": False, "since": NOW, "until": NOW + DAY, **changes}
    return shadow_report(ledger, load_pack(name), progress=lambda _: None, **told)


def ready(**changes: Any) -> Ready:
    values: dict[str, Any] = {
        "rule": "idle",
        "ready": True,
        "why": "",
        "team": "workload.owner",
        "team_name": "ana",
    }
    return Ready(**(values | changes))


def test_a_ledger_that_remembers_no_judgement_says_from_when_on_it_will(ledger: Ledger) -> None:
    patrols(ledger, 3)
    told = reported(ledger)
    assert "remembered from this version on" in "\n".join(head_lines(told))
    assert list(tables(told, width=100)) == []
    assert list(road_lines(told, Settings())) == []


def test_a_policy_that_only_tells_is_replaced_unless_it_was_asked_for(ledger: Ledger) -> None:
    patrols(ledger, 3)
    assert (reported(ledger).policy.name, reported(ledger).tried_instead) == ("default", "observe")
    asked = reported(ledger, asked=True)
    assert (asked.policy.name, asked.tried_instead) == ("observe", None)
    assert reported(ledger, "strict").policy.name == "strict"


def test_nothing_to_stop_is_said(ledger: Ledger) -> None:
    film = Film()
    film.shows(machine(), 0, Phase.ACTIVE)
    told = film.played(13)
    assert (told.stops, told.undecided, told.machines) == ((), (), 1)


def test_the_rule_for_one_team_loads_and_decides_about_that_team_only() -> None:
    hostile = 'a"na\n  then: leave #'
    policy = load_policy(HEAD + STOP, "p.yaml")
    for name in ("ana", hostile):
        entry = rule_for_a_team(policy.rules[0], ready(team_name=name))
        text = HEAD + "\n".join(f"  {line}" for line in entry.splitlines()) + "\n"
        first = load_policy(text, "first.yaml")
        assert first.rules[0].grace == policy.rules[0].grace
        film = Film(policy=first)
        film.shows(machine("theirs"), 0, Phase.IDLE, attribution=attribution(owner="bo"))
        film.shows(machine("ours"), 0, Phase.IDLE, attribution=attribution(owner=name))
        assert [each.machine.name for each in film.played(13).stops] == ["ours"]


def test_json_without_anything_is_whole(ledger: Ledger) -> None:
    told: Any = shadow_json(reported(ledger))
    assert (told["patrols"], told["observed_hours"], told["stops"]) == (0, 0.0, [])
    assert told["judgements_from"] is None


def test_report_alone_says_that_there_is_only_the_shadow_one(tmp_path: Path) -> None:
    done = Shell(tmp_path, {})("report")
    assert done.code == 2
    assert "there is only the shadow report so far: add --shadow" in done.err


def test_nothing_observed_yet_says_what_to_do(tmp_path: Path) -> None:
    shell = Shell(tmp_path, {})
    done = shell("report", "--shadow")
    assert (done.code, done.out) == (0, "")
    assert "let `spend-watchdog patrol` observe for some days" in done.err
    assert shell("report", "--shadow", "--json").json["patrols"] == 0
    assert not (tmp_path / "ledger").exists()
