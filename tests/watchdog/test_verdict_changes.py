"""A change of verdict is told once: not again, not by two at once, and not left out."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from threading import Barrier, Thread
from typing import Any

import pytest

from policies.facts import Run, RunOutcome, WorkloadKey
from policies.maturity import assess
from policies.rules import load_pack
from policies.verdicts import Result, Verdict
from tests.builders import NOW
from tests.shelf import Shelf
from tests.watchdog.ledger.facts import run as run_row
from watchdog import rows
from watchdog.alerts.delivery import Delivery
from watchdog.alerts.message import Alert
from watchdog.ledger.store import Ledger
from watchdog.patrol import Parts, patrol
from watchdog.patrol_report import PatrolReport
from watchdog.verdict_changes import VerdictChange, change_events, claimed, verdict_changes

WON, LOST = RunOutcome.SUCCEEDED, RunOutcome.FAILED


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(str(tmp_path / "ledger"))


class Channel:
    """A person's channel, which may be down for a while."""

    def __init__(self, *down: bool) -> None:
        self._down = list(down)
        self.alerts: list[Alert] = []

    def __call__(self, alert: Alert) -> Delivery:
        self.alerts.append(alert)
        works = not (self._down and self._down.pop(0))
        return Delivery(channel="C1", delivered=works, why="ok" if works else "down")


def ran(
    ledger: Ledger,
    outcomes: Sequence[RunOutcome],
    *,
    until: datetime = NOW,
    workload: str = "llama",
    prefix: str = "r",
) -> None:
    """Runs of two hours, a run each three hours, the newest ending an hour before `until`."""
    told = []
    for number, outcome in enumerate(outcomes):
        start = until - timedelta(hours=3) * (len(outcomes) - number)
        told.append(
            run_row(
                f"{workload}-{prefix}{number}",
                workload=workload,
                outcome=outcome.value,
                started_at=start,
                ended_at=start + timedelta(hours=2),
                gpus=1,
            )
        )
    ledger.append("runs", told)


def passed(ledger: Ledger, *, at: datetime = NOW, channel: Channel | None = None) -> PatrolReport:
    parts = Parts(
        providers=[Shelf()],
        ledger=ledger,
        policy=load_pack("observe"),
        notifiers=[] if channel is None else [channel],
    )
    return patrol(parts, now=at)


def steps(report: PatrolReport) -> list[tuple[str, str, str]]:
    return [(each.key.name, each.before.value, each.now.value) for each in report.verdict_changes]


def written(ledger: Ledger) -> list[dict[str, Any]]:
    events = [row for row in ledger.rows("events") if row["kind"] == "verdict"]
    return [
        json.loads(str(row["detail_json"])) for row in sorted(events, key=lambda r: str(r["n"]))
    ]


def test_what_becomes_mature_is_told_in_the_message_once(ledger: Ledger) -> None:
    ran(ledger, [WON] * 12)
    channel = Channel()
    first = passed(ledger, channel=channel)
    assert steps(first) == [("llama", "unknown", "mature")]
    (alert,) = channel.alerts
    assert alert.headline == "1 workload changed verdict"
    assert alert.verdicts[0].workload == "llama"
    for hour in range(1, 4):
        again = passed(ledger, at=NOW + timedelta(hours=hour), channel=channel)
        assert again.verdict_changes == ()
    assert len(channel.alerts) == 1
    (event,) = written(ledger)
    assert (event["from"], event["to"], event["told"]) == ("unknown", "mature", "delivered")
    assert "12 of 12 runs" in event["because"]


def test_its_way_back_is_told_once_as_well(ledger: Ledger) -> None:
    """The twin of the test above: silence must not be for ever."""
    ran(ledger, [WON] * 12)
    passed(ledger)
    later = NOW + timedelta(days=1)
    ran(ledger, [LOST] * 5, until=later, prefix="f")
    assert steps(passed(ledger, at=later)) == [("llama", "mature", "exploratory")]
    assert steps(passed(ledger, at=later + timedelta(minutes=5))) == []
    assert [(each["from"], each["to"]) for each in written(ledger)] == [
        ("unknown", "mature"),
        ("mature", "exploratory"),
    ]


def test_nothing_known_is_no_change(ledger: Ledger) -> None:
    ran(ledger, [RunOutcome.LOST] * 6)
    channel = Channel()
    assert passed(ledger, channel=channel).verdict_changes == ()
    assert channel.alerts == []
    assert written(ledger) == []
    assert ledger.objects("verdicts") == []


def test_a_patrol_without_a_change_reads_and_claims_nothing(ledger: Ledger) -> None:
    ran(ledger, [WON] * 12)
    passed(ledger)
    claims = ledger.objects("verdicts")
    passed(ledger, at=NOW + timedelta(hours=1))
    assert ledger.objects("verdicts") == claims == ["verdicts/000000001"]


def test_without_a_channel_it_is_told_on_the_console_and_that_counts(ledger: Ledger) -> None:
    ran(ledger, [WON] * 12)
    (change,) = passed(ledger).verdict_changes
    assert change.result is Result.DESCRIBED
    assert passed(ledger, at=NOW + timedelta(minutes=5)).verdict_changes == ()


def test_what_no_channel_took_is_told_again_until_one_does(ledger: Ledger) -> None:
    ran(ledger, [WON] * 12)
    channel = Channel(True, True, False)  # noqa: FBT003 - down, down, up
    for minutes in (0, 5, 10):
        report = passed(ledger, at=NOW + timedelta(minutes=minutes), channel=channel)
        assert steps(report) == [("llama", "unknown", "mature")]
    assert steps(passed(ledger, at=NOW + timedelta(minutes=15), channel=channel)) == []
    (event,) = written(ledger)
    assert (event["told"], event["attempt"], event["number"]) == ("delivered", 3, 1)
    (row,) = ledger.rows("verdicts_told")
    assert row["at"] == NOW


def changes_of(ledger: Ledger, at: datetime = NOW) -> tuple[VerdictChange, ...]:
    runs = [rows.run_from(row) for row in ledger.rows("runs")]
    return verdict_changes(ledger, assess(runs, as_of=at), now=at)


def test_of_many_patrols_at_once_each_change_is_told_by_one(ledger: Ledger, tmp_path: Path) -> None:
    for number in range(5):
        ran(ledger, [WON] * 12, workload=f"w{number}")
    seen = changes_of(ledger)
    assert len(seen) == 5
    barrier = Barrier(6)
    told: list[VerdictChange] = []

    def tell(number: int) -> None:
        mine = Ledger.open(str(tmp_path / "ledger"))
        barrier.wait()
        won, dead = claimed(mine, seen[number % 3 :], f"p{number}", now=NOW)
        told.extend(won)
        assert dead == ()

    threads = [Thread(target=tell, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = [each.name for each in told]
    assert sorted(names) == sorted({each.name for each in seen})


def test_a_patrol_that_died_after_its_claim_is_written_down_and_not_told_again(
    ledger: Ledger,
) -> None:
    ran(ledger, [WON] * 12)
    claimed(ledger, changes_of(ledger), "killed", now=NOW)
    soon = passed(ledger, at=NOW + timedelta(minutes=5))
    assert (soon.verdict_changes, written(ledger)) == ((), [])
    channel = Channel()
    late = passed(ledger, at=NOW + timedelta(minutes=65), channel=channel)
    assert late.verdict_changes == ()
    assert channel.alerts == []
    (event,) = written(ledger)
    assert (event["to"], event["told"]) == ("mature", None)
    after = NOW + timedelta(days=1)
    ran(ledger, [LOST] * 5, until=after, prefix="f")
    assert steps(passed(ledger, at=after)) == [("llama", "mature", "exploratory")]


def test_a_patrol_that_died_before_its_claim_leaves_the_change_to_the_next(
    ledger: Ledger,
) -> None:
    ran(ledger, [WON] * 12)
    changes_of(ledger)
    assert steps(passed(ledger, at=NOW + timedelta(minutes=5))) == [("llama", "unknown", "mature")]


def test_other_changes_are_claimed_beside_those_of_another_patrol(ledger: Ledger) -> None:
    ran(ledger, [WON] * 12)
    claimed(ledger, changes_of(ledger), "other", now=NOW)
    ran(ledger, [WON] * 12, workload="gpt")
    assert steps(passed(ledger, at=NOW + timedelta(minutes=5))) == [("gpt", "unknown", "mature")]
    assert len(ledger.objects("verdicts")) == 2


@pytest.mark.parametrize("seed", range(3))
def test_the_told_steps_are_those_of_the_fold_hysteresis_included(
    ledger: Ledger, seed: int
) -> None:
    """Patrol after patrol over a history that swings: each step once, none left out."""
    random = Random(seed)
    outcomes = [WON if random.random() < (0.95 if n % 14 < 9 else 0.3) else LOST for n in range(28)]
    end = NOW + timedelta(hours=3 * len(outcomes))
    ran(ledger, outcomes, until=end)
    runs: list[Run] = [rows.run_from(row) for row in ledger.rows("runs")]
    expected, before = [], Verdict.UNKNOWN
    told = []
    for number in range(len(outcomes) + 1):
        at = NOW + timedelta(hours=3 * number)
        verdicts = {each.verdict for each in assess(runs, as_of=at).values()} or {before}
        (verdict,) = verdicts
        if verdict is not before:
            expected.append(("llama", before.value, verdict.value))
        before = verdict
        changes = changes_of(ledger, at)
        won, _ = claimed(ledger, changes, f"p{number}", now=at)
        ledger.append("events", list(change_events(won, observed_at=at)))
        told += [(each.key.name, each.before.value, each.now.value) for each in won]
    assert told == expected
    assert len(expected) >= 2
    assert [(each["workload"], each["from"], each["to"]) for each in written(ledger)] == expected


def test_workloads_of_one_name_in_two_groups_are_told_apart(ledger: Ledger) -> None:
    change = VerdictChange(
        key=WorkloadKey(group="nlp", name="llama"),
        number=1,
        attempt=1,
        before=Verdict.UNKNOWN,
        now=Verdict.MATURE,
        at=NOW,
        score=0.9,
        why="it finishes",
    )
    ledger.append("events", list(change_events([change], observed_at=NOW)))
    ran(ledger, [WON] * 12)
    assert steps(passed(ledger)) == [("llama", "unknown", "mature")]
    assert len(written(ledger)) == 2
