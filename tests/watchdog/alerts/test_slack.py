"""Over real HTTP, against a Slack on loopback."""

import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from slack_sdk import WebClient

from tests.fake_slack import CHANNEL_ID, TOKEN, TS, Answer, FakeSlack, limited, refusing
from tests.watchdog.alerts.reports import gap, judged, report
from watchdog.alerts.delivery import Notifier
from watchdog.alerts.message import Alert, alert_from
from watchdog.alerts.slack import (
    AlertSettingsError,
    SlackBot,
    SlackWebhook,
    check_slack,
    notifiers_from,
)
from watchdog.alerts.slack_calls import Patience
from watchdog.alerts.slack_settings import api_base


@dataclass
class Clock:
    """Time passes only while somebody waits."""

    now: float = 0.0
    waits: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    def patience(self, **changes: float) -> Patience:
        values = {"total_s": 60.0, "call_s": 5} | changes
        return Patience(clock=lambda: self.now, sleep=self.sleep, **values)  # type: ignore[arg-type]


@pytest.fixture
def slack() -> Iterator[FakeSlack]:
    with FakeSlack() as server:
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def alert() -> Alert:
    told = alert_from(report(judged("trainer-1", hourly="3.06"), gaps=[gap()]))
    assert told is not None
    return told


By = Callable[[FakeSlack, Clock], Notifier]


def bot(slack: FakeSlack, clock: Clock, **changes: float) -> SlackBot:
    return SlackBot(TOKEN, "#gpu-costs", slack.api_url, clock.patience(**changes))


def webhook(slack: FakeSlack, clock: Clock) -> SlackWebhook:
    return SlackWebhook(slack.webhook_url, clock.patience())


def test_a_bot_posts_one_message(slack: FakeSlack, clock: Clock, alert: Alert) -> None:
    delivery = bot(slack, clock)(alert)
    assert (delivery.delivered, delivery.channel, delivery.ts) == (True, CHANNEL_ID, TS)
    assert delivery.why == "posted to #gpu-costs"
    (body,) = slack.messages
    assert body["channel"] == "#gpu-costs"
    assert body["text"].startswith("1 machine needs a look: $3.06/h")
    assert body["blocks"][0]["text"]["text"].startswith("1 machine needs a look: $3.06/h")
    assert "access denied: attach the role" in json.dumps(body["blocks"])
    assert (body["parse"], body["link_names"], body["mrkdwn"]) == ("none", False, False)
    assert (body["unfurl_links"], body["unfurl_media"]) == (False, False)


def test_a_webhook_posts_the_same_and_has_no_ts(
    slack: FakeSlack, clock: Clock, alert: Alert
) -> None:
    delivery = webhook(slack, clock)(alert)
    assert (delivery.delivered, delivery.ts) == (True, None)
    bot(slack, clock)(alert)
    by_webhook, by_bot = slack.messages
    assert by_webhook == {key: value for key, value in by_bot.items() if key != "channel"}


@pytest.mark.parametrize("tail", ["/api/", "/api", "/", ""])
def test_the_api_address_may_be_written_in_any_way(
    slack: FakeSlack, clock: Clock, alert: Alert, tail: str
) -> None:
    assert SlackBot(TOKEN, "C1", slack.url + tail, clock.patience())(alert).delivered
    assert [call.path for call in slack.calls] == ["/api/chat.postMessage"]


def test_a_proxys_own_path_is_kept() -> None:
    assert api_base("https://proxy.example/slack/api") == "https://proxy.example/slack/api/"
    assert api_base("https://slack.com/api/") == "https://slack.com/api/"


@pytest.mark.parametrize("by", [bot, webhook])
def test_a_rate_limit_is_waited_out(slack: FakeSlack, clock: Clock, alert: Alert, by: By) -> None:
    slack.answer_next(limited("7"), limited("11"))
    assert by(slack, clock)(alert).delivered
    assert clock.waits == [7, 11]
    assert len(slack.messages) == 3


@pytest.mark.parametrize("by", [bot, webhook])
def test_a_wait_beyond_the_deadline_is_not_begun(
    slack: FakeSlack, clock: Clock, alert: Alert, by: By
) -> None:
    slack.answer_next(limited("40"), limited("40"))
    delivery = by(slack, clock)(alert)
    assert not delivery.delivered
    assert clock.waits == [40]
    assert "asks to wait 40 s" in delivery.why


@pytest.mark.parametrize("header", [None, "soon", "Wed, 21 Oct 2026 07:28:00 GMT", "-5", ""])
def test_a_rate_limit_without_a_readable_wait_is_tried_again_soon(
    slack: FakeSlack, clock: Clock, alert: Alert, header: str | None
) -> None:
    slack.answer_next(limited(header))
    assert bot(slack, clock)(alert).delivered
    assert clock.waits == [0.5]


@pytest.mark.parametrize("by", [bot, webhook])
@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_error_is_tried_again(
    slack: FakeSlack, clock: Clock, alert: Alert, by: By, status: int
) -> None:
    slack.answer_next(*[Answer(status=status, body="<html>upstream</html>")] * 2)
    assert by(slack, clock)(alert).delivered
    assert clock.waits == [0.5, 1.0]


@pytest.mark.parametrize("by", [bot, webhook])
@pytest.mark.parametrize("body", ["<html>", '{"ok": false, "error": "fatal_error"}', "", "[]"])
def test_an_outage_ends_the_tries_and_is_told(
    slack: FakeSlack, clock: Clock, alert: Alert, by: By, body: str
) -> None:
    slack.answer_next(*[Answer(status=503, body=body)] * 50)
    delivery = by(slack, clock)(alert)
    assert not delivery.delivered
    assert "HTTP 503" in delivery.why
    assert len(slack.messages) == 5


@pytest.mark.parametrize("by", [bot, webhook])
def test_a_broken_connection_is_tried_again(
    slack: FakeSlack, clock: Clock, alert: Alert, by: By
) -> None:
    slack.answer_next(Answer(reset=True))
    assert by(slack, clock)(alert).delivered
    assert clock.waits == [0.5]


def test_nobody_listening_is_a_value(clock: Clock, alert: Alert) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        notifiers: list[Notifier] = [
            SlackBot(TOKEN, "C1", url, clock.patience()),
            SlackWebhook(f"{url}/services/T/B/s3cr3t", clock.patience()),
        ]
        for notify in notifiers:
            delivery = notify(alert)
            assert not delivery.delivered
            assert "could not be reached (Connection refused)" in delivery.why
    assert len(clock.waits) == 8


def test_silence_is_given_up_and_not_posted_twice(
    slack: FakeSlack, clock: Clock, alert: Alert
) -> None:
    """Slack may have posted it: asking again could tell it twice."""
    slack.answer_next(Answer(silent=True))
    delivery = bot(slack, clock, call_s=1)(alert)
    assert not delivery.delivered
    assert "did not answer in time" in delivery.why
    assert len(slack.messages) == 1


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("invalid_auth", "SPEND_WATCHDOG_SLACK__TOKEN"),
        ("token_revoked", "SPEND_WATCHDOG_SLACK__TOKEN"),
        ("channel_not_found", "SPEND_WATCHDOG_SLACK__CHANNEL"),
        ("not_in_channel", "type /invite @"),
        ("is_archived", "name another one in SPEND_WATCHDOG_SLACK__CHANNEL"),
        ("some_new_error", "Slack answered some_new_error: the message was refused"),
    ],
)
def test_a_refusal_says_what_to_do(
    slack: FakeSlack, clock: Clock, alert: Alert, error: str, told: str
) -> None:
    slack.answer_next(refusing(error))
    delivery = bot(slack, clock)(alert)
    assert not delivery.delivered
    assert error in delivery.why
    assert told in delivery.why
    assert (delivery.ts, delivery.channel) == (None, "#gpu-costs")
    assert len(slack.messages) == 1


def test_a_missing_scope_is_named(slack: FakeSlack, clock: Clock, alert: Alert) -> None:
    slack.answer_next(refusing("missing_scope", needed="chat:write.public", provided="x"))
    assert "add the scope chat:write.public" in bot(slack, clock)(alert).why


@pytest.mark.parametrize(
    "body",
    ["<html>log in</html>", "", "{", "[]", '"ok"', "null", "\x00", '{"ok": true', "ok\nnot"],
)
@pytest.mark.parametrize("by", [bot, webhook])
def test_an_answer_that_is_not_slacks_delivers_nothing(
    slack: FakeSlack, clock: Clock, alert: Alert, by: By, body: str
) -> None:
    slack.answer_next(Answer(body=body))
    delivery = by(slack, clock)(alert)
    assert not delivery.delivered
    assert "\n" not in delivery.why
    assert "did not come from Slack" in delivery.why or "could not be sent" in delivery.why


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404])
@pytest.mark.parametrize("by", [bot, webhook])
def test_a_page_that_is_not_slacks_is_a_value(
    slack: FakeSlack, clock: Clock, alert: Alert, by: By, status: int
) -> None:
    slack.answer_next(Answer(status=status, body="<h1>Forbidden</h1>"))
    delivery = by(slack, clock)(alert)
    assert not delivery.delivered
    assert f"HTTP {status}" in delivery.why


@pytest.mark.parametrize(
    ("status", "body"),
    [(404, "no_service"), (403, "invalid_token"), (410, "channel_is_archived")],
)
def test_a_webhooks_refusal_says_what_to_do(
    slack: FakeSlack, clock: Clock, alert: Alert, status: int, body: str
) -> None:
    slack.answer_next(Answer(status=status, body=body))
    delivery = webhook(slack, clock)(alert)
    assert not delivery.delivered
    assert body in delivery.why
    assert "SPEND_WATCHDOG_SLACK__WEBHOOK_URL" in delivery.why


def test_secrets_stand_nowhere(
    slack: FakeSlack,
    clock: Clock,
    alert: Alert,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(0)
    notifiers: list[Notifier] = [bot(slack, clock), webhook(slack, clock)]
    told = [repr(notifier) for notifier in notifiers]
    for answer in (refusing("invalid_auth"), Answer(status=404, body="<html>"), Answer(reset=True)):
        for notifier in notifiers:
            slack.answer_next(answer)
            told.append(notifier(alert).why)
    told.append(SlackBot("xoxb-1-te\nst", "C1", slack.api_url, clock.patience())(alert).why)
    told.append(SlackWebhook("http://s3cr3t", clock.patience(total_s=0))(alert).why)
    assert (caplog.text, *capfd.readouterr()) == ("", "", "")
    whole = "\n".join(told)
    for secret in (TOKEN, "xoxb-1-te", "s3cr3t"):
        assert secret not in whole


def test_a_proxy_is_not_asked_for_a_server_on_this_machine(
    slack: FakeSlack, clock: Clock, alert: Alert, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("HTTPS_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
    assert bot(slack, clock)(alert).delivered
    assert webhook(slack, clock)(alert).delivered


def test_the_check_asks_and_posts_nothing(slack: FakeSlack, clock: Clock) -> None:
    ok, told = check_slack(TOKEN, "#gpu-costs", slack.url, patience=clock.patience())
    assert ok
    assert "watchdog in Acme" in told
    assert "#gpu-costs" in told
    assert [call.method for call in slack.calls] == ["auth.test"]


def test_the_check_finds_a_bad_token(slack: FakeSlack, clock: Clock) -> None:
    ok, told = check_slack("xoxb-other", "C1", slack.api_url, patience=clock.patience())
    assert not ok
    assert "invalid_auth" in told


@pytest.mark.parametrize("scopes", ["channels:read", "chat:write.public", ""])
def test_the_check_finds_a_token_that_may_not_post(clock: Clock, scopes: str) -> None:
    with FakeSlack(scopes=scopes) as slack:
        ok, told = check_slack(TOKEN, "C1", slack.api_url, patience=clock.patience())
    assert not ok
    assert "add the scope chat:write " in told


def test_the_check_believes_a_token_whose_scopes_are_not_told(clock: Clock) -> None:
    with FakeSlack(scopes=None) as slack:
        assert check_slack(TOKEN, "C1", slack.api_url, patience=clock.patience())[0]


@pytest.mark.parametrize(
    ("token", "channel", "url", "setting"),
    [
        (TOKEN, None, "https://slack.com/api/", "SPEND_WATCHDOG_SLACK__CHANNEL"),
        (TOKEN, " ", "https://slack.com/api/", "SPEND_WATCHDOG_SLACK__CHANNEL"),
        ("xoxb ü", "C1", "https://slack.com/api/", "SPEND_WATCHDOG_SLACK__TOKEN"),
        (" ", "C1", "https://slack.com/api/", "SPEND_WATCHDOG_SLACK__TOKEN"),
        (TOKEN, "C1", "slack.com/api", "SPEND_WATCHDOG_SLACK__API_URL"),
        (TOKEN, "C1", "file:///etc/passwd", "SPEND_WATCHDOG_SLACK__API_URL"),
        (TOKEN, "C1", "http://host:port/api", "SPEND_WATCHDOG_SLACK__API_URL"),
        (TOKEN, "C1", "http://[half/api", "SPEND_WATCHDOG_SLACK__API_URL"),
    ],
)
def test_wrong_settings_are_named(token: str, channel: str | None, url: str, setting: str) -> None:
    ok, told = check_slack(token, channel, url)
    assert not ok
    assert told.startswith(setting)
    with pytest.raises(AlertSettingsError, match=setting) as raised:
        notifiers_from(token=token, channel=channel, api_url=url)
    assert raised.value.exit_code == 2


def test_notifiers_from_what_is_set(slack: FakeSlack, alert: Alert) -> None:
    assert notifiers_from() == ()
    assert notifiers_from(channel="C1") == ()
    both = notifiers_from(
        token=f" {TOKEN}\n", channel="C1", webhook_url=slack.webhook_url, api_url=slack.url
    )
    assert [type(each) for each in both] == [SlackBot, SlackWebhook]
    assert all(notify(alert).delivered for notify in both)
    with pytest.raises(AlertSettingsError, match="SPEND_WATCHDOG_SLACK__WEBHOOK_URL"):
        notifiers_from(webhook_url="hooks.slack.com/services/T/B/x")


def test_the_fake_refuses_what_slack_refuses(slack: FakeSlack) -> None:
    client = WebClient(token=TOKEN, base_url=slack.api_url)
    block = {"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}
    for body in ({"blocks": [block]}, {"blocks": [block | {"text": {"text": "x"}}] * 51}, {}):
        with pytest.raises(Exception, match=r"invalid_blocks|no_text"):
            client.api_call("chat.postMessage", json={"channel": "C1", **body})
    updated = client.chat_update(channel="C1", ts="5.5", text="stopped")
    assert updated["ts"] == "5.5"
