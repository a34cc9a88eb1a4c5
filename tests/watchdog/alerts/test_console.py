"""What a person sees on a terminal, and what a pipe gets."""

import io
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from policies.facts import MachineState, Scope
from policies.verdicts import Outcome, Phase, Result, Verdict, Veto, Wanted
from tests.builders import NOW
from tests.watchdog.alerts.reports import ADVICE, backfilled, gap, judged, report, verdict_change
from watchdog.alerts.console import plain_text, render
from watchdog.alerts.message import alert_from
from watchdog.patrol_report import CostOfWatching, PatrolReport

EVIL = "[red]x[/red] [link=https://evil.example]y[/link] \x1b[31mz\x1b[0m \u202ertl :skull:"


def printed(told: PatrolReport, *, width: int = 200, terminal: bool = False) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=width, highlight=False, force_terminal=terminal)
    for each in render(told):
        console.print(each)
    return stream.getvalue()


def line_of(text: str, word: str) -> str:
    return next(line for line in text.splitlines() if word in line)


def test_a_machine_stands_on_one_line_of_a_wide_terminal() -> None:
    seen = printed(
        report(judged("trainer-1", hourly="32.7726", idle=timedelta(hours=52), gpus=8)), width=150
    )
    cells = " ".join(line_of(seen, "g5.xlarge").split())
    assert cells == "trainer-1 rainer-1 g5.xlarge × 8 llama exploratory idle 2 d 4 h $32.77 notify"


def test_quiet_and_unmeasured_machines_come_first_by_dollars() -> None:
    seen = printed(
        report(
            judged("busy", hourly="500.00", phase=Phase.ACTIVE),
            judged("cheap", hourly="1.00"),
            judged("unpriced", hourly=None),
            judged("dark", hourly="98.32", phase=Phase.UNKNOWN),
            judged("parked", hourly="3.06", phase=Phase.PARKED),
        )
    )
    table = seen[: seen.index("Why")]
    order = sorted(
        ["busy", "cheap", "unpriced", "dark", "parked"], key=lambda name: table.index(f"\n{name} ")
    )
    assert order == ["dark", "parked", "cheap", "unpriced", "busy"]
    assert "unknown" in line_of(table, "unpriced").split()[-2]
    assert "$0.00" not in table


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_everything_fits(width: int) -> None:
    told = report(
        *(judged(f"m{index}-" + "long-" * 30, hourly="12345.67") for index in range(3)),
        judged("dark", phase=Phase.UNKNOWN, machine_type="Standard_ND96amsr_A100_v4", hourly=None),
        gaps=[gap(why="a reason " * 40)],
        backfill=[backfilled("long-" * 30, idle=(336, "1234567.89"), total=(336, "1234567.89"))],
    )
    seen = printed(told, width=width)
    assert max(cell_len(line) for line in seen.splitlines()) <= width
    for word in ("exploratory", "$12,345.67", "unmeasured", "notify", "unknown"):
        assert word in seen


def test_a_pipe_gets_no_colours_and_a_terminal_does() -> None:
    told = report(judged(EVIL), gaps=[gap(why=EVIL)])
    assert "\x1b" not in printed(told)
    assert "\x1b[" in printed(told, terminal=True)


def test_names_are_neither_markup_nor_control() -> None:
    seen = printed(
        report(
            judged(EVIL, workload=EVIL, machine_type=EVIL, because=EVIL, why=(EVIL,)),
            gaps=[gap(what=EVIL, why=EVIL, region=EVIL)],
            outcomes=[Outcome(machine="m", action="notify", result=Result.FAILED, why=EVIL)],
            backfill=[backfilled(EVIL, workload=EVIL, advice=EVIL)],
        ),
        width=400,
    )
    assert "[red]x[/red]" in seen
    assert ":skull:" in seen
    assert "\x1b" not in seen
    assert "\u202e" not in seen


@settings(deadline=None, max_examples=50)
@given(st.text(alphabet=st.characters(codec=None), max_size=80))
def test_no_name_breaks_the_page(name: str) -> None:
    told = report(judged(name or "x", workload=name, why=(name,)), gaps=[gap(why=name)])
    seen = printed(told)
    assert seen.isprintable() or set(filter(lambda each: not each.isprintable(), seen)) == {"\n"}
    alert = alert_from(told)
    assert alert is not None
    assert set(filter(lambda each: not each.isprintable(), plain_text(alert))) == {"\n"}


def test_reasons_stand_beneath_once_for_all_machines_that_share_them() -> None:
    dark = [judged(f"d{index}", phase=Phase.UNKNOWN, hourly="2.00") for index in range(9)]
    seen = printed(report(*dark, judged("quiet", hourly="1.00"), judged("b", phase=Phase.ACTIVE)))
    why = seen[seen.index("Why") :]
    assert why.count(ADVICE) == 1
    assert "d0, d1, d2, d3 and 5 more" in why
    assert "GPU 0: 0 %, 512 of 24576 MiB" in line_of(why, "quiet")


def test_reasons_of_a_large_fleet_are_counted() -> None:
    fleet = [judged(f"m{index}", why=(f"GPU 0: {index} %",)) for index in range(40)]
    seen = printed(report(*fleet))
    assert seen.count("GPU 0:") == 15
    assert "and 25 more machines: spend-watchdog explain MACHINE" in seen


def test_a_vetoed_stop_says_so() -> None:
    told = judged(wanted=Wanted.STOP, vetoes=[Veto(name="kept", why="ana keeps it")])
    seen = printed(report(told))
    assert "stop, vetoed" in seen
    assert "not stopped: ana keeps it" in seen


def test_machines_that_cost_nothing_are_counted() -> None:
    resting = [
        judged(
            f"off{index}",
            phase=Phase.UNKNOWN,
            wanted=Wanted.LEAVE,
            state=MachineState.STOPPED,
            metered=False,
        )
        for index in range(3)
    ]
    seen = printed(report(judged("on"), *resting))
    assert "Not running and not listed: 3 stopped." in seen
    assert "off1" not in seen
    here = Scope(provider="aws", account="123456789012", region="us-east-1")
    nothing_runs = printed(replace(report(*resting), watched=(here,)))
    assert (
        "No machine with an accelerator is running in aws 123456789012 (us-east-1)." in nothing_runs
    )
    assert "Why" not in nothing_runs


def test_a_machine_between_states_may_cost_and_is_shown_by_its_state() -> None:
    between = judged(
        "s", phase=Phase.UNKNOWN, wanted=Wanted.LEAVE, state=MachineState.STOPPING, metered=None
    )
    assert "stopping" in line_of(printed(report(between)), "g5.xlarge")


def test_nothing_seen_is_not_nothing_there() -> None:
    seen = printed(report(gaps=[gap()]))
    assert "No machine with an accelerator is running in what was looked at" in seen
    assert "Not everything could be seen." in seen
    assert "machines, aws 123456789012 us-east-1: access denied: attach the role" in seen
    assert "ec2:DescribeInstances × 2" in seen


def test_a_large_fleet_is_counted_beyond_a_hundred() -> None:
    seen = printed(report(*(judged(f"m{index}", hourly="2.00") for index in range(500))))
    assert seen.count("g5.xlarge") == 100
    assert "… and 400 more machines, $800.00/h; --json lists all of them" in seen


def test_the_backfilled_days_are_ranked_by_dollars() -> None:
    seen = printed(
        report(
            judged(),
            backfill=[
                backfilled("busy", idle=(400.0, "0")),
                backfilled("cheap", idle=(10.0, "10.00"), total=(336.0, "336.00")),
                backfilled("unpriced", idle=(300.0, None), total=(300.0, None)),
                backfilled(
                    "dark", unmeasured=(336.0, "33035.52"), total=(336.0, "33035.52"), advice=ADVICE
                ),
                backfilled("idle", idle=(100.5, "307.53"), total=(336.0, "1028.16")),
            ],
        )
    )
    part = seen[seen.index("The last 14 days") :]
    order = sorted(
        ["busy", "cheap", "unpriced", "dark", "idle"], key=lambda name: part.index(f"\n{name} ")
    )
    assert order == ["dark", "idle", "cheap", "unpriced", "busy"]
    assert "5 machines: idle $317.53, unmeasured $33,035.52, all $34,735.68." in part
    assert "1 machine without a full price" in part
    assert f"1 machine unmeasured, $33,035.52: {ADVICE}" in part
    assert line_of(part, "unpriced").split()[-1] == "unknown"


@pytest.mark.parametrize(
    ("ago", "title"),
    [
        (timedelta(days=14, minutes=55), "The last 14 days"),
        (timedelta(days=1), "The last day"),
        (timedelta(hours=39), "Since 2026-11-21 17:00 UTC, 39 hours"),
        (timedelta(hours=5), "Since 2026-11-23 03:00 UTC, 5 hours"),
    ],
)
def test_a_backfill_is_as_long_as_it_says(ago: timedelta, title: str) -> None:
    seen = printed(report(backfill=[backfilled("busy")], backfilled_from=NOW - ago))
    assert f"\n{title}\n" in seen


def test_a_patrol_without_backfill_has_no_such_section() -> None:
    assert "The last" not in printed(report(judged()))


def test_an_undelivered_message_is_seen() -> None:
    outcomes = [
        Outcome(machine=f"m{index}", action="notify", result=Result.FAILED, why="invalid_auth")
        for index in range(3)
    ]
    assert "notify failed for 3 machines: invalid_auth" in printed(report(outcomes=outcomes))


def test_the_cost_of_watching_is_told() -> None:
    seen = printed(report(judged()))
    assert "Watching took 1.2 s, 5 API calls ($0.0031): cloudwatch:GetMetricData × 3" in seen
    unpriced = CostOfWatching(api_calls={}, usd=None, seconds=0.04)
    free = CostOfWatching(api_calls={"ec2:X": 1}, usd=Decimal(0), seconds=0)
    assert "0 API calls (price unknown)." in printed(report(cost_of_watching=unpriced))
    assert "1 API call ($0.00): ec2:X × 1." in printed(report(cost_of_watching=free))


def test_the_preview_has_every_machine_and_its_reason() -> None:
    alert = alert_from(
        report(
            judged("trainer-1", hourly="3.06", verdict=Verdict.MATURE),
            judged("busy", phase=Phase.ACTIVE),
            gaps=[gap()],
        )
    )
    assert alert is not None
    summary = (
        "1 idle at $3.06/h. Monday morning: Mon 23 Nov 09:00 UTC."
        " Observed only: nothing was stopped."
    )
    assert plain_text(alert).splitlines() == [
        "1 machine needs a look: $3.06/h, $3.06 by Monday morning",
        summary,
        "",
        "trainer-1  $3.06/h, $3.06 by Monday",
        "  g5.xlarge, 1 × A10G, aws us-east-1, idle for 2 h",
        "  workload llama, owner ana, maturity mature",
        "  The meter runs while nothing is computed or moved.",
        "  GPU 0: 0 %, 512 of 24576 MiB",
        "",
        "Could not be seen",
        "  machines, aws 123456789012 us-east-1: access denied: attach the role",
        "",
        "Left alone: 1 active.",
    ]


def test_changed_verdicts_are_told_those_of_mature_work_first() -> None:
    tried = verdict_change("a-probe", before=Verdict.UNKNOWN, now=Verdict.EXPLORATORY, why="new")
    told = report(verdict_changes=(tried, verdict_change("llama")))
    seen = printed(told)
    assert seen.index("llama: exploratory → mature") < seen.index("a-probe: unknown → exploratory")
    alert = alert_from(told)
    assert alert is not None
    assert alert.headline == "2 workloads changed verdict"
    assert "llama: exploratory → mature (12 of 12 runs" in plain_text(alert)


def test_a_workloads_name_cannot_steer_the_terminal() -> None:
    told = report(verdict_changes=(verdict_change(EVIL, why=EVIL),))
    alert = alert_from(told)
    assert alert is not None
    for text in (printed(told), plain_text(alert)):
        assert "\x1b" not in text
        assert "\u202e" not in text


def test_no_changed_verdict_is_no_section() -> None:
    assert "Verdicts" not in printed(report(judged()))
