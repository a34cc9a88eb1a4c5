"""Presses become values, and signed requests are told from others. Nothing is asked of anybody."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import NOW
from tests.fake_slack import refused_for
from tests.slack_presses import SECRET, press, request
from tests.watchdog.alerts.reports import judged
from watchdog.alerts.answers import STATUS, Button, answered_blocks, press_from, refusal
from watchdog.alerts.incident_news import Stage, news_of
from watchdog.alerts.slack_incident_blocks import blocks
from watchdog.alerts.slack_requests import handle

MACHINE = "aws:123456789012:us-east-1:i-1"
KEY = f"incidents/{MACHINE}/20261121T080000Z/20261123T060000Z"


def pressed(button: str = "keep_2h", **changes: Any) -> dict[str, Any]:
    return press(button, KEY, at=NOW, **changes)


def test_a_press_tells_who_what_where_and_when() -> None:
    told = press_from(pressed("stop_now", name="ana\x1b[31m <!here>"))
    assert told is not None
    assert (told.button, told.incident, told.machine) == (Button.STOP_NOW, KEY, MACHINE)
    assert (told.at, told.user, told.by) == (NOW, "U0ANA", "ana <!here> (Slack U0ANA)")
    assert told.keeps_until is None


@pytest.mark.parametrize(
    ("button", "until"),
    [("keep_2h", timedelta(hours=2)), ("keep_until_tomorrow", timedelta(hours=24))],
)
def test_a_keep_counts_from_the_press_and_not_from_when_it_is_answered(
    button: str, until: timedelta
) -> None:
    told = press_from(pressed(button))
    assert told is not None
    assert told.keeps_until == NOW + until


def test_the_same_press_has_one_name_and_another_has_another() -> None:
    one, again = press_from(pressed()), press_from(pressed())
    later = press_from(press("keep_2h", KEY, at=NOW + timedelta(microseconds=50)))
    other = press_from(pressed(user="U0BOB"))
    assert one is not None
    assert again is not None
    assert later is not None
    assert other is not None
    assert one.name == again.name
    assert len({one.name, later.name, other.name}) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"type": "view_submission"},
        {"actions": []},
        {"actions": None},
        {"user": None},
        {"message": None},
        {"channel": {}},
    ],
)
def test_what_is_no_press_of_ours_is_left_alone(change: Mapping[str, Any]) -> None:
    assert press_from({**pressed(), **change}) is None


@pytest.mark.parametrize(
    "change",
    [
        {"action_id": "approve"},
        {"value": "i-1"},
        {"value": "inbox/a/b/c"},
        {"value": "incidents//b/c"},
        {"value": "incidents/../../secrets"},
        {"value": None},
        {"action_ts": "soon"},
        {"action_ts": "1e400"},
    ],
)
def test_a_button_of_somebody_elses_is_left_alone(change: Mapping[str, Any]) -> None:
    payload = pressed()
    payload["actions"][0] |= change
    assert press_from(payload) is None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(
    payload=st.fixed_dictionaries(
        {"type": st.just("block_actions"), "actions": VALUES, "user": VALUES, "message": VALUES}
    )
)
def test_nothing_that_comes_breaks_it(payload: dict[str, Any]) -> None:
    assert press_from({**pressed(), **payload}) is None or payload


@pytest.mark.parametrize("button", list(Button))
def test_who_may_press_what(button: Button) -> None:
    told = press_from(pressed(button.value))
    assert told is not None
    assert refusal(told, ["U0ANA"]) is None
    assert "slack.allowed_users" in str(refusal(told, ["U0BOB"]))
    unset = refusal(told, [])
    assert (unset is None) == (button is not Button.STOP_NOW)


def shown() -> list[dict[str, Any]]:
    news = news_of(judged("trainer-1"), KEY, Stage.WARNED, "nobody was warned yet", stop_at=NOW)
    return [block.to_dict() for block in blocks(news)]


def test_the_message_carries_a_button_for_each_answer_with_the_incidents_key() -> None:
    (actions,) = [block for block in shown() if block["type"] == "actions"]
    assert [each["action_id"] for each in actions["elements"]] == [each.value for each in Button]
    assert {each["value"] for each in actions["elements"]} == {KEY}
    (stop,) = [each for each in actions["elements"] if each["action_id"] == "stop_now"]
    assert "trainer-1 is stopped" in stop["confirm"]["text"]["text"]
    assert refused_for({"text": "t", "blocks": shown()}) is None


def test_a_stage_that_needs_no_answer_has_no_buttons() -> None:
    for stage in (Stage.STOPPING, Stage.STOPPED, Stage.OVER):
        news = news_of(judged("trainer-1"), KEY, stage, "why")
        assert all(block.type != "actions" for block in blocks(news))


def test_an_answer_is_one_line_that_the_next_one_replaces() -> None:
    once = answered_blocks(shown(), "Kept until then by ana.", buttons=True)
    twice = answered_blocks(once, "Not bob's.", buttons=True)
    (line,) = [block for block in twice if block.get("block_id") == STATUS]
    assert line["elements"][0]["text"] == "Not bob's."
    assert [block["type"] for block in twice][-2:] == ["context", "actions"]
    assert all(
        block["type"] != "actions" for block in answered_blocks(twice, "Over.", buttons=False)
    )
    assert refused_for({"text": "t", "blocks": twice}) is None


@given(status=st.text(max_size=3000) | st.text(alphabet="<&>", min_size=1, max_size=2500))
def test_no_answer_is_too_long_for_slack(status: str) -> None:
    told = answered_blocks(shown(), status or "?", buttons=True)
    (line,) = [block for block in told if block.get("block_id") == STATUS]
    assert len(line["elements"][0]["text"]) <= 2000


class Later:
    def __init__(self) -> None:
        self.payloads: list[Mapping[str, Any]] = []

    def __call__(self, payload: Mapping[str, Any]) -> None:
        self.payloads.append(payload)


def asked(headers: Mapping[str, str], body: str, now: datetime = NOW) -> tuple[int, int]:
    """The status, and how many payloads were handed on."""
    later = Later()
    status, _ = handle(headers, body, now, secret=SECRET, later=later)
    return status, len(later.payloads)


def test_slacks_own_example_of_a_signature_is_accepted() -> None:
    """https://docs.slack.dev/authentication/verifying-requests-from-slack"""
    body = (
        "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow"
        "&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner"
        "&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands"
        "%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
        "&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    headers = {
        "x-slack-request-timestamp": "1531420618",
        "x-slack-signature": (
            "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
        ),
    }
    at = datetime.fromtimestamp(1531420618, tz=UTC)
    assert asked(headers, body, at) == (400, 0), "signed well, but it is no press"
    assert asked(headers, body + "x", at) == (401, 0)


def test_a_signed_press_is_handed_on_whatever_the_headers_case() -> None:
    headers, body = request(pressed(), NOW)
    assert asked(headers, body) == (200, 1)
    assert asked({name.lower(): value for name, value in headers.items()}, body) == (200, 1)


@pytest.mark.parametrize("minutes", [-6, 6, 60 * 24])
def test_a_signature_more_than_five_minutes_off_is_refused(minutes: int) -> None:
    headers, body = request(pressed(), NOW)
    assert asked(headers, body, NOW + timedelta(minutes=minutes)) == (401, 0)
    assert asked(headers, body, NOW + timedelta(minutes=4)) == (200, 1)


@pytest.mark.parametrize(
    "change",
    [
        {"X-Slack-Signature": "v0=0"},
        {"X-Slack-Signature": "v0=ü"},
        {"X-Slack-Signature": ""},
        {"X-Slack-Request-Timestamp": "soon"},
        {"X-Slack-Request-Timestamp": "9" * 5000},
    ],
)
def test_what_is_not_signed_is_refused(change: Mapping[str, str]) -> None:
    headers, body = request(pressed(), NOW)
    assert asked({**headers, **change}, body) == (401, 0)
    for name in change:
        assert asked({k: v for k, v in headers.items() if k != name}, body) == (401, 0)


def test_another_secret_signs_nothing() -> None:
    assert asked(*request(pressed(), NOW, secret="another")) == (401, 0)


def test_a_payload_that_is_none_is_a_bad_request() -> None:
    assert asked(*request([], NOW)) == (400, 0)  # type: ignore[arg-type]
