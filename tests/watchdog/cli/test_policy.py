"""`policy check`, `policy show` and `policy schema` as people call them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from policies.pack_names import PACKS
from tests.watchdog.cli.shells import Shell
from watchdog.cli.completing import policy_names

WRONG = """schema: spend-watchdog/policy/1
mode: acting
rules:
  - name: a
    when: workload.verdct == "exploratory"
    because: b
    then: stop
"""
DOUBTFUL = """schema: spend-watchdog/policy/1
rules:
  - {name: a, when: idle.minutes >= 30, because: b, then: stop}
  - {name: c, when: idle.minutes >= 60, because: b, then: notify}
"""


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    (tmp_path / "wrong.yaml").write_text(WRONG, encoding="utf-8")
    (tmp_path / "doubtful.yaml").write_text(DOUBTFUL, encoding="utf-8")
    return Shell(tmp_path, {})


def test_each_mistake_is_a_line_with_its_place_and_exit_2(shell: Shell) -> None:
    done = shell("policy", "check", "wrong.yaml")
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines() == [
        "wrong.yaml:2:7: `mode` must be one of observe, act, not acting; did you mean act?",
        "wrong.yaml:5:11: `when`: unknown name `workload.verdct`; did you mean `workload.verdict`?",
    ]
    as_json = shell("policy", "check", "wrong.yaml", "--json")
    assert (as_json.code, as_json.json["ok"]) == (2, False)
    assert [(each["line"], each["column"]) for each in as_json.json["errors"]] == [(2, 7), (5, 11)]


def test_what_is_fine_is_one_line_and_what_is_doubtful_one_more_each(shell: Shell) -> None:
    done = shell("policy", "check", "doubtful.yaml")
    assert done.code == 0
    fine, mode, shadow = done.out.splitlines()
    assert fine == "doubtful.yaml: fine: mode observe, 2 rules (1 notify, 1 stop)"
    said = "rule a wants to warn or stop, but in mode observe nobody does"
    assert mode == f"doubtful.yaml:1:1: warning: {said}"
    said = "rule c is never reached: rule a above it holds wherever it does"
    assert shadow == f"doubtful.yaml:4:21: warning: {said}"
    as_json = shell("policy", "check", "doubtful.yaml", "--json").json
    assert (as_json["schema"], as_json["ok"]) == ("spend-watchdog/policy-check/1", True)
    assert [each["line"] for each in as_json["warnings"]] == [1, 4]
    pack = shell("policy", "check", "default")
    assert (pack.code, len(pack.out.splitlines())) == (0, 1)
    assert "at most 10 stops a patrol" in pack.out


def test_a_file_that_is_not_there_is_exit_2_with_what_may_be_meant(shell: Shell) -> None:
    done = shell("policy", "check", "defualt")
    assert done.code == 2
    assert "did you mean the pack default?" in done.err


def test_the_policy_in_effect_says_what_named_it(shell: Shell) -> None:
    assert shell("policy", "show").out.splitlines()[0] == (
        "Policy observe: pack observe, from the default"
    )
    named = shell("policy", "show", SPEND_WATCHDOG_POLICY="strict").out
    assert "pack strict, from the environment, SPEND_WATCHDOG_POLICY" in named
    (shell.folder / "spend-watchdog.toml").write_text('policy = "doubtful.yaml"\n')
    assert "doubtful.yaml, from the settings file" in shell("policy", "show").out
    option = shell("policy", "show", "--policy", "default").out
    assert "Policy default: pack default, from the option --policy" in option
    assert "4. idle-exploratory: stop, 30m after the warning" in option
    assert "at most 200 USD an hour" in option


def test_the_policy_in_effect_as_json(shell: Shell) -> None:
    told = shell("policy", "show", "--policy", "default", "--json").json
    assert (told["schema"], told["mode"]) == ("spend-watchdog/policy-shown/1", "act")
    assert told["restart_cost_seconds"] == 900
    assert told["limits"]["stop_usd_per_hour"] == "200"
    assert [each["then"] for each in told["rules"]][3] == "stop"


def test_the_schema_is_json_with_or_without_the_option(shell: Shell) -> None:
    plain, asked = shell("policy", "schema"), shell("policy", "schema", "--json")
    assert json.loads(plain.out) == asked.json
    assert plain.json["title"] == "spend-watchdog/policy/1"


def test_tab_completes_packs_and_policy_files(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shell.folder)
    (shell.folder / "teams").mkdir()
    (shell.folder / "teams" / "nlp.yml").touch()
    assert policy_names("d") == ["default", "doubtful.yaml"]
    assert set(PACKS) <= set(policy_names(""))
    assert policy_names("te") == ["teams/"]
    assert policy_names("teams/") == ["teams/nlp.yml"]
    assert policy_names("nowhere/x") == []
    asked = {"_SPEND_WATCHDOG_COMPLETE": "complete_bash", "COMP_CWORD": "3"}
    done = shell(**asked, COMP_WORDS="spend-watchdog patrol --policy str")
    assert done.out.split() == ["strict"]
