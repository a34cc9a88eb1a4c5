"""`costs` as somebody asks it: by name, by span."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.watchdog.cli.shells import Shell
from tests.watchdog.costs.accounts import Accounts, belonged
from watchdog.cli.options import moment

DAY = ("--since", "2026-11-23", "--until", "2026-11-24")


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    accounts = Accounts(tmp_path / "ledger")
    accounts.ran(("8:00", "9:00", "idle"))
    accounts.belongs(belonged("llama", group="team"))
    return Shell(tmp_path, {})


def test_a_workload_that_does_not_exist_is_told_with_the_nearest(shell: Shell) -> None:
    done = shell("costs", *DAY, "--workload", "lama")
    assert (done.code, done.out) == (0, "")
    assert "no workload is called lama: did you mean llama?" in done.err
    told = shell("costs", *DAY, "--workload", "zzz", "--json")
    assert (told.code, told.json["rows"]) == (0, [])
    assert "no workload is called zzz: `spend-watchdog workloads` lists" in told.err


def test_a_workload_without_charges_in_the_span_is_another_matter(shell: Shell) -> None:
    done = shell("costs", "--since", "2026-11-01", "--until", "2026-11-02", "--workload", "llama")
    assert done.code == 0
    assert "no charge between 2026-11-01 00:00 and 2026-11-02 00:00 UTC" in done.err
    assert shell("costs", *DAY, "--workload", "llama").err == ""


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("6h", timedelta(hours=6)),
        (" 3d ", timedelta(days=3)),
    ],
)
def test_a_duration_is_so_long_ago(text: str, ago: timedelta) -> None:
    before = datetime.now(UTC)
    at = moment(text)
    assert before - ago <= at <= datetime.now(UTC) - ago


def test_a_span_may_be_given_by_durations(shell: Shell) -> None:
    told = shell("costs", "--since", "7d", "--until", "1d", "--json").json
    begin, end = (datetime.fromisoformat(told[name]) for name in ("from", "until"))
    assert timedelta(days=6) <= end - begin <= timedelta(days=6, hours=2)
    wrong = shell("costs", "--since", "1d", "--until", "7d")
    assert (wrong.code, wrong.out) == (2, "")
    assert "is not before --until" in wrong.err


@pytest.mark.parametrize("text", ["999999d", "30000d", "0001-01-01", "0001-01-01T00:00:00+14:00"])
def test_a_time_before_all_clouds_is_a_usage_error(shell: Shell, text: str) -> None:
    for option in ("--since", "--until"):
        done = shell("costs", option, text)
        assert (done.code, done.out) == (2, "")
        assert f"{text}' lies before 1970" in " ".join(done.err.replace("│", " ").split())
