from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.facts import MachineState, StopTerms
from policies.verdicts import Phase, Verdict, Veto, Wanted
from tests.watchdog.alerts.reports import (
    ADVICE,
    BLIND_WHY,
    QUIET_WHY,
    gap,
    judged,
    report,
)
from watchdog.alerts.message import LIMIT, Alert, alert_from, untold
from watchdog.patrol_report import JudgedMachine, PatrolReport

FRIDAY = datetime(2026, 11, 27, 18, tzinfo=UTC)
"""63 hours before Monday morning."""


def alert_of(told: PatrolReport, limit: int = LIMIT) -> Alert:
    alert = alert_from(told, limit=limit)
    assert alert is not None
    return alert


def test_nothing_to_tell_is_no_message() -> None:
    busy = judged("busy", phase=Phase.ACTIVE)
    stopped = judged("off", phase=Phase.UNKNOWN, wanted=Wanted.LEAVE, state=MachineState.STOPPED)
    assert alert_from(report()) is None
    assert alert_from(report(busy, stopped)) is None


def test_machines_are_ranked_by_dollars_an_hour() -> None:
    told = report(
        judged("cheap", hourly="0.50"),
        judged("dear", hourly="98.32", phase=Phase.UNKNOWN),
        judged("unpriced", hourly=None),
        judged("middle", hourly="3.06", phase=Phase.PARKED),
        at=FRIDAY,
    )
    alert = alert_of(told)
    assert [line.name for line in alert.lines] == ["dear", "middle", "cheap", "unpriced"]


def test_a_machine_is_told_with_its_price_and_its_price_by_monday() -> None:
    alert = alert_of(report(judged("t", hourly="3.06", idle=timedelta(hours=52)), at=FRIDAY))
    (line,) = alert.lines
    assert (line.hourly_usd, line.by_monday_usd) == (Decimal("3.06"), Decimal("192.78"))
    assert (line.workload, line.owner, line.verdict) == ("llama", "ana", Verdict.EXPLORATORY)
    assert line.idle_minutes == 52 * 60
    assert line.why == QUIET_WHY
    assert line.evidence == ("GPU 0: 0 %, 512 of 24576 MiB",)
    assert alert.headline == "1 machine needs a look: $3.06/h, $192.78 by Monday morning"


def test_an_unknown_price_is_no_zero() -> None:
    alert = alert_of(report(judged("a", hourly="2.00"), judged("b", hourly=None), at=FRIDAY))
    assert alert.total.hourly_usd == Decimal("2.00")
    assert alert.total.unpriced == 1
    assert "$2.00/h (1 without a price), $126.00 by Monday morning" in alert.headline
    assert alert.lines[-1].hourly_usd is None
    assert alert.lines[-1].by_monday_usd is None


def test_without_any_price_there_is_no_sum() -> None:
    alert = alert_of(report(judged("a", hourly=None), judged("b", hourly=None)))
    assert alert.total.hourly_usd is None
    assert alert.by_monday_usd is None
    assert alert.headline == "2 machines need a look: price unknown"


def test_an_unmeasured_machine_is_told_with_what_makes_it_visible() -> None:
    alert = alert_of(report(judged("dark", hourly="98.32", phase=Phase.UNKNOWN)))
    (line,) = alert.lines
    assert line.why == BLIND_WHY
    assert line.evidence[-1] == ADVICE
    assert line.idle_minutes is None


def test_evidence_is_short_and_keeps_its_last_sentence() -> None:
    why = (*(f"GPU {index}: 0 %" for index in range(8)), ADVICE)
    alert = alert_of(report(judged("dark", phase=Phase.UNKNOWN, why=why)))
    assert alert.lines[0].evidence == ("GPU 0: 0 %", "GPU 1: 0 %", ADVICE)


def test_vetoes_and_prepaid_time_are_told() -> None:
    terms = StopTerms(can_stop=True, why="", prepaid="capacity block cb-1")
    told = judged(
        wanted=Wanted.STOP, vetoes=[Veto(name="kept", why="ana keeps it")], stop_terms=terms
    )
    assert alert_of(report(told)).lines[0].evidence[-2:] == (
        "not stopped: ana keeps it",
        "already paid (capacity block cb-1): a stop saves nothing",
    )


def test_gaps_alone_are_told() -> None:
    alert = alert_of(report(judged("busy", phase=Phase.ACTIVE), gaps=[gap()]))
    assert alert.lines == ()
    assert alert.headline == "1 thing could not be seen"
    assert (alert.gaps[0].what, alert.gaps[0].where) == ("machines", "aws 123456789012 us-east-1")
    assert alert.gaps[0].why == "access denied: attach the role"
    assert alert.left_alone == "1 active"


def test_one_trouble_in_many_regions_is_one_line() -> None:
    gaps = [gap(region=f"region-{index}") for index in range(17)]
    (line,) = alert_of(report(gaps=gaps)).gaps
    assert line.where == "aws 123456789012 region-0, region-1, region-2, region-3 and 13 more"


def test_a_gap_of_one_machine_names_it() -> None:
    (line,) = alert_of(report(gaps=[gap(resource="aws:1:us-east-1:i-9")])).gaps
    assert line.where == "aws 123456789012 aws:1:us-east-1:i-9"


def test_what_was_left_alone_is_one_line() -> None:
    alert = alert_of(
        report(
            judged("quiet"),
            judged("a", phase=Phase.ACTIVE),
            judged("b", phase=Phase.ACTIVE),
            judged("m", wanted=Wanted.LEAVE, verdict=Verdict.MATURE),
            judged("off", phase=Phase.UNKNOWN, wanted=Wanted.LEAVE, state=MachineState.STOPPED),
        )
    )
    assert alert.left_alone == "2 active, 1 idle on mature work, 1 stopped"


def test_a_machine_that_the_policy_could_not_judge_is_left_out_while_it_is_at_work() -> None:
    at_work = judged("u", phase=Phase.ACTIVE, wanted=Wanted.UNKNOWN)
    undecided = replace(at_work, decision=replace(at_work.decision, findings=()))
    assert alert_from(report(undecided)) is None


def test_a_limited_message_still_counts_everything() -> None:
    machines = [judged(f"m{index}", hourly=f"{index + 1}.00") for index in range(10)]
    alert = alert_of(report(*machines), limit=4)
    assert [line.hourly_usd for line in alert.lines] == [10, 9, 8, 7]
    assert alert.total.machines == 10
    rest = untold(alert, alert.lines)
    assert rest is not None
    assert (rest.machines, rest.hourly_usd, rest.unpriced) == (6, Decimal("21.00"), 0)


def test_unpriced_machines_keep_a_place_in_a_limited_message() -> None:
    machines = [judged(f"m{index}", hourly="1.00") for index in range(10)]
    dark = [judged(f"d{index}", hourly=None) for index in range(5)]
    alert = alert_of(report(*machines, *dark), limit=8)
    assert [line.hourly_usd for line in alert.lines] == [1] * 6 + [None] * 2


def test_an_unknown_price_ranks_before_none_at_all() -> None:
    alert = alert_of(
        report(judged("free", hourly="0", gpus=16), judged("dark", hourly=None, gpus=8))
    )
    assert [line.name for line in alert.lines] == ["dark", "free"]


def test_the_rest_has_no_sum_where_none_of_it_has_a_price() -> None:
    alert = alert_of(report(judged("a", hourly="1"), judged("b", hourly=None)), limit=1)
    rest = untold(alert, alert.lines)
    assert rest is not None
    assert rest.hourly_usd is None
    assert rest.told() == "price unknown"


PRICES = st.lists(
    st.one_of(st.none(), st.decimals("0", "100", places=4).map(str)), min_size=1, max_size=30
)


@given(PRICES, st.integers(0, 30))
def test_told_and_untold_make_the_whole(prices: list[str | None], limit: int) -> None:
    machines = [judged(f"m{index}", hourly=price) for index, price in enumerate(prices)]
    alert = alert_of(report(*machines), limit=limit)
    rest = untold(alert, alert.lines)
    known = [Decimal(price) for price in prices if price is not None]
    told = [line.hourly_usd for line in alert.lines if line.hourly_usd is not None]
    left = (rest.hourly_usd or 0) if rest else 0
    assert len(alert.lines) == min(limit, len(prices))
    assert len(alert.lines) + (rest.machines if rest else 0) == len(prices)
    assert sum(told, Decimal(0)) + left == sum(known, Decimal(0))
    assert alert.total.unpriced == len(prices) - len(known)
    assert alert.total.hourly_usd == (sum(known) if known else None)


@pytest.mark.parametrize("wanted", [Wanted.NOTIFY, Wanted.WARN, Wanted.STOP])
def test_whatever_the_policy_wants_done_is_told(wanted: Wanted) -> None:
    active: JudgedMachine = judged(phase=Phase.ACTIVE, wanted=wanted, because="Over its budget.")
    alert = alert_of(report(active))
    assert alert.lines[0].why == "Over its budget."
