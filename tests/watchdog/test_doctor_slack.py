"""What `doctor` says of buttons."""

from __future__ import annotations

import pytest

from tests.fake_slack import TOKEN, FakeSlack
from watchdog.doctor import Health, _slack
from watchdog.settings import load_settings


@pytest.mark.parametrize(
    ("setting", "users", "told"),
    [
        (None, "", "no buttons: neither slack.app_token nor slack.signing_secret is set"),
        ("APP_TOKEN", "", "answered by `listen`; slack.allowed_users is empty, so nobody may stop"),
        ("SIGNING_SECRET", "U0ANA,U0BOB", "answered by a function URL; 2 may press"),
    ],
)
def test_it_says_who_answers_buttons_and_who_may_press(
    monkeypatch: pytest.MonkeyPatch, setting: str | None, users: str, told: str
) -> None:
    with FakeSlack() as slack:
        monkeypatch.setenv("SPEND_WATCHDOG_SLACK__TOKEN", TOKEN)
        monkeypatch.setenv("SPEND_WATCHDOG_SLACK__CHANNEL", "#gpu-costs")
        monkeypatch.setenv("SPEND_WATCHDOG_SLACK__API_URL", slack.api_url)
        monkeypatch.setenv("SPEND_WATCHDOG_SLACK__ALLOWED_USERS", users)
        if setting is not None:
            monkeypatch.setenv(f"SPEND_WATCHDOG_SLACK__{setting}", "xapp-1-test")
        check = _slack(load_settings())
    assert check.health is Health.OK
    assert told in check.told
