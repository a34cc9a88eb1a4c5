"""What the commands say where something is missing: a reason, and never the word None."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from tests.moto_aws import AwsServer
from tests.watchdog.cli.shells import Shell
from tests.watchdog.ledger.facts import MACHINE, attribution, event, machine, patrol
from watchdog.ledger.store import Ledger

NOWHERE = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"}
KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}


@pytest.fixture(scope="module")
def server() -> Iterator[AwsServer]:
    with AwsServer() as running:
        yield running


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path, {})


def test_init_says_that_aws_cannot_be_reached_and_writes_the_file(
    shell: Shell, tmp_path: Path
) -> None:
    done = shell("init", **KEYS, **NOWHERE)
    assert done.code == 0
    assert (tmp_path / "spend-watchdog.toml").is_file()
    (line,) = [line for line in done.out.splitlines() if line.startswith("aws: nothing was seen: ")]
    assert "could not be reached in the home region" in line
    assert "no machine was seen" in done.out
    again = shell("init", "--json", **KEYS, **NOWHERE).json
    assert again["unseen"] == [line]


def test_init_says_nothing_more_where_all_was_seen(
    shell: Shell, server: AwsServer, tmp_path: Path
) -> None:
    assert "was seen:" not in shell("init", **server.environment).out


def test_doctor_names_the_last_patrol_by_its_utc_date(shell: Shell, tmp_path: Path) -> None:
    ledger = Ledger.open(str(tmp_path / "ledger"))
    ledger.append("patrols", [patrol(at=datetime(2026, 11, 23, 8, 0, 30, 5, tzinfo=UTC))])
    (check,) = [c for c in shell("doctor", "--json").json["checks"] if c["what"] == "ledger"]
    assert check["told"].endswith("1 patrol, the last at 2026-11-23 08:00 UTC")


@pytest.mark.parametrize("subject", [MACHINE, "i-1"])
def test_explain_knows_a_machine_without_a_name(shell: Shell, tmp_path: Path, subject: str) -> None:
    ledger = Ledger.open(str(tmp_path / "ledger"))
    bare = machine(name=None, machine_type=None, purchase=None, price_source=None)
    ledger.append("machines", [bare | {"hourly_usd": Decimal("1.5")}])
    ledger.append("attributions", [attribution(workload=None)])
    ledger.append("events", [event(machine=MACHINE)])
    done = shell("explain", subject, "--events")
    assert done.code == 0
    assert "None" not in done.out
    assert f"Machine {MACHINE}" in done.out


def test_a_name_that_nothing_bears_is_not_likened_to_none(shell: Shell, tmp_path: Path) -> None:
    Ledger.open(str(tmp_path / "ledger")).append("machines", [machine(name=None)])
    done = shell("explain", "Non")
    assert (done.code, done.out) == (2, "")
    assert "None" not in done.err
    near = shell("explain", "i-2")
    assert f"did you mean {MACHINE.rsplit(':', 1)[-1]}" in near.err
