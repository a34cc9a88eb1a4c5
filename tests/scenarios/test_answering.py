"""People answer an incident's message: real patrols on a real AWS API, and Slack over HTTP."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from policies.ladder import EventKind
from policies.rules import load_policy
from providers.aws.adapter import AwsProvider
from tests.fake_slack import CHANNEL_ID, TOKEN, TS, FakeSlack, refusing
from tests.moto_aws import ACCOUNT, AwsServer
from tests.providers.aws.quick import QUICK
from tests.scenarios.test_acting import POLICY, REGION, Account, results
from tests.slack_presses import SECRET, press, request
from watchdog.actions import Acting
from watchdog.alerts.slack_incidents import SlackIncidents
from watchdog.alerts.slack_replies import SlackReplies
from watchdog.alerts.slack_requests import handle
from watchdog.answering import Answering
from watchdog.explain import explain, explain_json
from watchdog.keeps import keeps_of
from watchdog.ledger.incidents import IncidentLog
from watchdog.orders import Order, Ordered, carried_out
from watchdog.patrol import Parts

pytestmark = pytest.mark.slow


class Team(Account):
    """Patrols that tell Slack, and people who read it and press."""

    def __init__(self, aws: AwsServer, folder: Path, slack: FakeSlack) -> None:
        super().__init__(aws, folder)
        self.slack = slack
        self.channel: Any = SlackIncidents(TOKEN, "#gpu-costs", slack.api_url, buttons=True)
        self.allowed: tuple[str, ...] = ("U0ANA",)

    def provider(self) -> AwsProvider:
        return AwsProvider(
            regions=[REGION], limits=QUICK, session=self.session, clock=lambda: self.now
        )

    def order(self, order: Order, now: datetime) -> Ordered:
        parts = Parts(
            providers=[self.provider()],
            ledger=self.ledger,
            policy=load_policy(POLICY, "test.yaml"),
        )
        return carried_out(parts, Acting(channels=[self.channel]), order, now=now)

    @property
    def answering(self) -> Answering:
        return Answering(
            ledger=self.ledger,
            replies=SlackReplies(TOKEN, self.slack.api_url),
            order=self.order,
            write_keep=self.provider().write_keep,
            allowed=self.allowed,
        )

    def warned(self) -> str:
        """An idle machine whose message lies in Slack."""
        machine = self.machine("trainer-1")
        self.quiet(machine, hours=30)
        assert results(self.patrol()) == [("warn", "delivered")]
        return machine

    def incident(self, machine: str) -> str:
        return IncidentLog(self.ledger).of(self.id(machine))[-1].key

    def id(self, machine: str) -> str:
        return f"aws:{ACCOUNT}:{REGION}:{machine}"

    def payload(self, machine: str, button: str, **changes: Any) -> dict[str, Any]:
        values: dict[str, Any] = {
            "at": self.now,
            "blocks": self.shown["blocks"],
            "response_url": self.slack.response_url,
        }
        return press(button, self.incident(machine), **(values | changes))

    def press(self, machine: str, button: str, **changes: Any) -> str:
        return self.answering.answer(self.payload(machine, button, **changes), self.now)

    @property
    def shown(self) -> Mapping[str, Any]:
        """The incident's message as it stands."""
        top = [each for each in self.slack.calls if _is_top(each.method, each.body)]
        return _with_blocks(top[-1].body)

    @property
    def thread(self) -> list[str]:
        calls = [call.body for call in self.slack.calls if call.method == "chat.postMessage"]
        return [str(body["text"]) for body in calls if body.get("thread_ts") == TS]

    @property
    def buttons(self) -> list[str]:
        return [
            element["action_id"]
            for block in self.shown["blocks"]
            if block["type"] == "actions"
            for element in block["elements"]
        ]

    def says(self) -> str:
        """Every word of the message."""
        return " ".join(
            str(text["text"])
            for block in self.shown["blocks"]
            for text in (block.get("elements") or [block.get("text")])
            if isinstance(text["text"], str)
        )

    def tags(self, machine: str) -> dict[str, str]:
        found = self.aws.client("ec2").describe_instances(InstanceIds=[machine])
        told: Any = found["Reservations"][0]["Instances"][0]["Tags"]
        return {tag["Key"]: tag["Value"] for tag in told}

    def events(self, machine: str, kind: str) -> list[Mapping[str, Any]]:
        told: Any = explain_json(explain(self.ledger, self.id(machine), now=self.now), events=True)
        return [event for event in told["events"] if event["kind"] == kind]


def _is_top(method: str, body: Mapping[str, Any]) -> bool:
    posted = method == "chat.postMessage" and "thread_ts" not in body
    return posted or method == "chat.update"


def _with_blocks(body: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"blocks": [], **body}


@pytest.fixture
def team(signed_in: AwsServer, tmp_path: Path) -> Iterator[Team]:
    with FakeSlack() as slack:
        yield Team(signed_in, tmp_path, slack)


def test_a_keep_holds_the_stop_off_is_told_in_place_and_is_followed_by_a_new_warning(
    team: Team,
) -> None:
    machine = team.warned()
    team.press(machine, "keep_2h")
    until = team.now + timedelta(hours=2)
    told = f"Kept until {until:%Y-%m-%d %H:%M} UTC by ana."
    assert told in team.says()
    assert team.thread[-1] == told
    assert team.buttons, "who kept it may still stop it, or keep it longer"
    assert team.tags(machine)["spend-watchdog:keep-until"] == f"{until:%Y-%m-%dT%H:%M:%SZ}"
    team.patrol(after=timedelta(minutes=30))
    assert team.state(machine) == "running"
    assert results(team.patrol(after=timedelta(minutes=95))) == [("warn", "delivered")]
    assert results(team.patrol(after=timedelta(minutes=15))) == [("stop", "stopped")]
    tops = [call for call in team.slack.calls if call.method == "chat.postMessage"]
    assert len([call for call in tops if "thread_ts" not in call.body]) == 1


def test_stop_now_stops_without_waiting_and_shows_it_in_place(team: Team) -> None:
    machine = team.warned()
    team.press(machine, "stop_now")
    assert team.state(machine) == "stopped"
    assert "trainer-1 was stopped by order of ana" in str(team.shown["text"])
    assert team.slack.whispers == ["Looking at it now; what becomes of it stands in the message."]
    assert team.buttons == []
    assert "by order of ana (Slack U0ANA)" in team.thread[-1]
    (stopped,) = team.events(machine, "stopped")
    assert (stopped["by"], stopped["ordered"]) == ("ana (Slack U0ANA)", "slack")
    assert results(team.patrol()) == []


def test_stop_now_holds_to_every_veto_and_says_how_an_operator_can(team: Team) -> None:
    machine = team.warned()
    team.busy(machine, team.now - timedelta(minutes=25))
    team.now += timedelta(minutes=5)
    team.press(machine, "stop_now")
    assert team.state(machine) == "running"
    assert "Not stopped for ana: uncertain: it is active" in team.says()
    assert f"spend-watchdog stop {machine} --override uncertain" in team.says()
    assert team.buttons
    (refused,) = team.events(machine, "stop_refused")
    assert refused["by"] == "ana (Slack U0ANA)"


def test_not_mine_is_told_and_asks_whose_it_is(team: Team) -> None:
    machine = team.warned()
    team.allowed = ()
    team.press(machine, "not_mine", user="U0BOB", name="bob")
    assert "Not bob's, they say. Whose is it?" in team.says()
    (event,) = team.events(machine, "not_mine")
    assert event["by"] == "bob (Slack U0BOB)"
    assert results(team.patrol(after=timedelta(minutes=15))) == [("stop", "stopped")]


def test_a_press_that_slack_tells_twice_is_answered_once(team: Team) -> None:
    machine = team.warned()
    for button in ("keep_2h", "not_mine"):
        payload = team.payload(machine, button)
        before = len(team.slack.calls)
        team.answering.answer(payload, team.now)
        once = len(team.slack.calls)
        assert "answered already" in team.answering.answer(payload, team.now)
        assert (once - before, len(team.slack.calls) - once) == (2, 0)
    assert len(team.events(machine, "keep")) == 1
    assert len(team.events(machine, "not_mine")) == 1


def test_a_double_click_keeps_once(team: Team) -> None:
    machine = team.warned()
    team.press(machine, "keep_2h")
    team.press(machine, "keep_2h", at=team.now + timedelta(seconds=1))
    assert len(team.events(machine, "keep")) == 1
    assert "is kept until" in team.slack.whispers[-1]


def test_a_double_click_stops_once(team: Team) -> None:
    machine = team.warned()
    team.press(machine, "stop_now")
    team.aws.forget_calls()
    team.press(machine, "stop_now", at=team.now + timedelta(seconds=1))
    assert "ec2:StopInstances" not in team.aws.calls
    assert "which is over: stopped at" in team.slack.whispers[-1]


def test_a_shorter_keep_does_not_end_a_longer_one(team: Team) -> None:
    machine = team.warned()
    team.press(machine, "keep_until_tomorrow")
    team.press(machine, "keep_2h", at=team.now + timedelta(minutes=5))
    keep = keeps_of(team.ledger)[team.id(machine)]
    assert keep.until == team.now + timedelta(hours=24)


def test_a_keep_that_comes_after_a_stop_began_says_so(team: Team) -> None:
    machine = team.warned()
    (kept,) = IncidentLog(team.ledger).of(team.id(machine))
    IncidentLog(team.ledger).write(kept, EventKind.STOP_INTENDED, "patrol-1", team.now, {})
    team.press(machine, "keep_2h")
    assert "A stop had begun before that, and may have been made." in team.says()
    assert team.id(machine) in keeps_of(team.ledger)


def test_a_message_of_an_earlier_pause_is_refused_politely(team: Team) -> None:
    machine = team.warned()
    old = team.payload(machine, "keep_2h")
    stop = team.payload(machine, "stop_now")
    team.busy(machine, team.now)
    team.now += timedelta(minutes=25)
    team.patrol()
    before = len(team.slack.calls)
    for payload in (old, stop):
        team.answering.answer(payload, team.now + timedelta(days=3))
    assert [call.method for call in team.slack.calls[before:]] == ["response", "response"]
    assert all("an earlier pause, which is over" in told for told in team.slack.whispers)
    assert keeps_of(team.ledger) == {}
    assert team.state(machine) == "running"


def test_a_message_of_an_earlier_boot_is_refused_politely(team: Team) -> None:
    from moto.ec2.models import ec2_backends  # noqa: PLC0415

    machine = team.warned()
    old = team.payload(machine, "stop_now")
    instance: Any = ec2_backends[ACCOUNT][REGION].get_instance(machine)
    instance.launch_time = f"{team.now:%Y-%m-%dT%H:%M:%S.000Z}"
    team.patrol(acting=False)
    team.answering.answer(old, team.now)
    assert "the machine was started again since" in team.slack.whispers[-1]
    assert team.state(machine) == "running"


def test_who_is_not_allowed_changes_nothing(team: Team) -> None:
    machine = team.warned()
    for button in ("keep_2h", "stop_now", "not_mine"):
        team.press(machine, button, user="U0EVE", name="eve")
    assert len(team.slack.whispers) == 3
    assert all("Nothing was done" in told for told in team.slack.whispers)
    assert keeps_of(team.ledger) == {}
    assert team.state(machine) == "running"


def test_without_allowed_users_everyone_keeps_and_nobody_stops(team: Team) -> None:
    machine = team.warned()
    team.allowed = ()
    team.press(machine, "stop_now", user="U0EVE", name="eve")
    assert "your id is U0EVE" in team.slack.whispers[-1]
    team.press(machine, "keep_2h", user="U0EVE", name="eve")
    assert keeps_of(team.ledger)[team.id(machine)].by == "eve (Slack U0EVE)"


def test_a_keep_holds_where_slack_and_the_tag_fail(team: Team) -> None:
    machine = team.warned()
    team.aws.fail("ec2:CreateTags", status=403, code="UnauthorizedOperation")
    team.slack.answer_next(refusing("message_not_found"))
    line = team.press(machine, "keep_2h")
    assert "not told: Slack answered message_not_found" in line
    assert "the tag on the machine was not written: not allowed" in line
    assert team.id(machine) in keeps_of(team.ledger)


def test_a_whisper_whose_address_has_expired_goes_by_the_bot(team: Team) -> None:
    machine = team.warned()
    gone = f"{team.slack.url}/actions/T1/1/expired"
    team.press(machine, "keep_2h", user="U0EVE", response_url=gone)
    last = team.slack.calls[-1]
    assert (last.method, last.body["user"]) == ("chat.postEphemeral", "U0EVE")
    assert last.body["channel"] == CHANNEL_ID


def test_a_signed_request_reaches_the_machine(team: Team) -> None:
    """The whole way of a function URL: headers and body in, a stopped machine out."""
    machine = team.warned()
    heard: list[Mapping[str, Any]] = []
    headers, body = request(team.payload(machine, "stop_now"), team.now)
    assert handle(headers, body, team.now, secret=SECRET, later=heard.append) == (200, "")
    assert team.state(machine) == "running", "it is acknowledged before anything is done"
    (payload,) = heard
    team.answering.answer(payload, team.now)
    assert team.state(machine) == "stopped"
