"""A ledger in a bucket: the same, and sparing with requests."""

from pathlib import Path

import pytest

from tests.moto_aws import AwsServer
from tests.watchdog.ledger.conftest import BUCKET
from tests.watchdog.ledger.facts import NOW, event, reading, run
from watchdog.ledger.store import Ledger
from watchdog.ledger.tables import TABLES

URL = f"s3://{BUCKET}/team/ledger"


def test_setting_up_and_opening_again(s3: AwsServer) -> None:
    Ledger.open(URL)
    assert s3.calls == {"s3:GET": 1, "s3:PUT": len(TABLES)}

    s3.forget_calls()
    Ledger.open(URL)
    assert s3.calls == {"s3:GET": 1}


def test_opening_for_reading_asks_nothing(s3: AwsServer) -> None:
    Ledger.open(URL, read_only=True)

    assert s3.calls == {}


def test_an_append_costs_a_handful_of_requests(s3: AwsServer) -> None:
    ledger = Ledger.open(URL)
    ledger.append("events", [event()])
    s3.forget_calls()

    ledger.append("events", [event("2")])

    assert s3.calls["s3:PUT"] == 2
    assert s3.calls.total() <= 10


def test_a_table_that_did_not_change_is_not_fetched_again(s3: AwsServer) -> None:
    ledger = Ledger.open(URL)
    ledger.append("readings", [reading(60 * 24 * days) for days in range(4)])
    assert len(ledger.rows("readings")) == 4
    s3.forget_calls()

    assert len(ledger.rows("readings")) == 4

    assert s3.calls == {"s3:GET": 2}


def test_days_that_are_not_asked_for_are_not_fetched(s3: AwsServer) -> None:
    Ledger.open(URL).append("readings", [reading(60 * 24 * days) for days in range(30)])
    whole, today = Ledger.open(URL), Ledger.open(URL)
    s3.forget_calls()

    assert len(whole.rows("readings")) == 30
    everything = s3.calls.total()
    s3.forget_calls()
    assert len(today.rows("readings_of", since=NOW)) == 1

    assert s3.calls.total() < everything / 5


def test_a_pruned_table_is_fetched_whole_when_it_is_needed_whole(s3: AwsServer) -> None:
    ledger = Ledger.open(URL)
    ledger.append("readings", [reading(60 * 24 * days) for days in range(3)])

    assert len(ledger.rows("readings_of", since=NOW)) == 1
    assert len(ledger.rows("readings")) == 3
    assert len(ledger.rows("readings_of", since=NOW)) == 1


def test_a_profile_of_the_aws_settings_opens_the_bucket(
    s3: AwsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = tmp_path / "credentials"
    keys.write_text("[team]\naws_access_key_id = a\naws_secret_access_key = b\n", encoding="utf-8")
    settings = tmp_path / "config"
    settings.write_text("[profile team]\nregion = us-east-1\n", encoding="utf-8")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(keys))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(settings))
    monkeypatch.setenv("AWS_PROFILE", "team")

    ledger = Ledger.open(URL)
    ledger.append("runs", [run()])
    ledger.drop_in_inbox("events", [event()])

    assert ledger.fold_inbox().counts == {"events": 1}
    assert (len(ledger.rows("runs")), len(ledger.rows("events"))) == (1, 1)
    assert {call.region for call in s3.requests} == {"us-east-1"}


def test_keys_may_be_given_as_options(s3: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in s3.environment:
        monkeypatch.delenv(name)
    options = {
        "AWS_ENDPOINT_URL": s3.url,
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_REGION": "us-east-1",
    }
    ledger = Ledger.open(URL, storage_options=options)
    ledger.append("runs", [run()])
    ledger.put_once("claims/a", b"x")

    assert len(ledger.rows("runs")) == 1
    assert ledger.info()["version"].sum() == 1
