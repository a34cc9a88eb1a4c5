"""docs/policy.md says what the code does."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest
import yaml

from policies.conditions import checked
from policies.names import BY_NAME, NAMES, schedule_names
from policies.pack_names import PACKS
from policies.policy_check import checked_policy
from policies.policy_schema import PolicyEntry, json_schema
from policies.rules import load_policy, pack_text
from tests.policies.policy_doc import DOC, parts, table

TEXT = DOC.read_text(encoding="utf-8")


def fenced(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def text_only(document: str) -> Any:
    """YAML as editors read it: 1.2, in which a date is text."""
    loader: Any = type("Loader", (yaml.SafeLoader,), {})
    loader.yaml_implicit_resolvers = {
        letter: [(tag, regexp) for tag, regexp in several if not tag.endswith("timestamp")]
        for letter, several in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    return yaml.load(document, Loader=loader)


def test_the_table_of_names_is_that_of_the_code() -> None:
    assert parts()[1] == table(), "write it anew: python -m tests.policies.policy_doc"


def test_the_documented_file_loads_without_a_warning() -> None:
    (text,) = fenced("yaml")
    _, doubts = checked_policy(text, "docs.yaml", datetime(2026, 12, 1, tzinfo=UTC))
    assert doubts == ()
    keys = set(PolicyEntry.model_json_schema(by_alias=True)["properties"])
    assert keys == set(text_only(text))


def test_every_documented_condition_compiles() -> None:
    (text,) = fenced("cel")
    for line in text.splitlines():
        checked(line)


@pytest.mark.parametrize("pack", PACKS)
def test_packs_and_the_documented_file_are_valid_to_editors(pack: str) -> None:
    schema = json.loads(json.dumps(json_schema()))
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for text in (pack_text(pack)[0], *fenced("yaml")):
        assert list(validator.iter_errors(text_only(text))) == []


@pytest.mark.parametrize(
    "change",
    [
        {"mode": "acting"},
        {"modes": "act"},
        {"rules": []},
        {"restart_cost": "soon"},
        {"budgets": [{"name": "a", "usd_per_week": -1}]},
        {"exemptions": [{"owner": "ana", "because": "b"}]},
        {"limits": {"gpu_classes": {"H100": {"gracee": "5m"}}}},
        {"setup_limit": 7},
    ],
)
def test_what_does_not_load_is_invalid_to_editors(change: dict[str, object]) -> None:
    data = text_only(pack_text("default")[0]) | change
    assert list(jsonschema.Draft202012Validator(json_schema()).iter_errors(data))
    with pytest.raises(Exception, match="x:"):
        load_policy(json.dumps(data), "x")


def test_the_schema_names_what_conditions_may_use() -> None:
    told = json_schema()["$defs"]["RuleEntry"]["properties"]["when"]["description"]
    assert all(name in told for name in BY_NAME)
    assert all(each.unknown and each.meaning for each in NAMES)


@pytest.mark.parametrize(
    ("at", "zone", "hour", "weekday", "weekend", "date"),
    [
        ("2026-11-23T08:00", "UTC", 8, 1, False, "2026-11-23"),
        ("2026-11-23T08:00", "Europe/Berlin", 9, 1, False, "2026-11-23"),
        ("2026-07-20T08:00", "Europe/Berlin", 10, 1, False, "2026-07-20"),
        # summer time began: one hour does not come
        ("2026-03-29T00:59", "Europe/Berlin", 1, 7, True, "2026-03-29"),
        ("2026-03-29T01:00", "Europe/Berlin", 3, 7, True, "2026-03-29"),
        # and ended: one hour comes twice
        ("2026-10-25T00:30", "Europe/Berlin", 2, 7, True, "2026-10-25"),
        ("2026-10-25T01:30", "Europe/Berlin", 2, 7, True, "2026-10-25"),
        ("2026-10-25T02:30", "Europe/Berlin", 3, 7, True, "2026-10-25"),
        ("2026-11-20T23:30", "Asia/Kolkata", 5, 6, True, "2026-11-21"),
        ("2026-11-23T04:00", "America/Los_Angeles", 20, 7, True, "2026-11-22"),
    ],
)
def test_schedules_follow_the_clock_on_the_wall(
    at: str,
    zone: str,
    hour: int,
    weekday: int,
    weekend: bool,  # noqa: FBT001 - a case
    date: str,
) -> None:
    told = schedule_names(datetime.fromisoformat(at).replace(tzinfo=UTC), zone)
    assert told["schedule.hour"] == hour
    assert told["schedule.weekday"] == weekday
    assert told["schedule.weekend"] is weekend
    assert told["schedule.date"] == date
