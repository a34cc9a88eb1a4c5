"""What left, as a person sees it on a terminal."""

from dataclasses import replace
from decimal import Decimal
from io import StringIO

from rich.console import Console

from policies.facts import EgressMeter
from tests.builders import NOW, attribution
from tests.watchdog.alerts.reports import report
from watchdog.alerts.console import render
from watchdog.patrol_report import MeteredEgress


def left(
    name: str | None, count: int | None, usd: str | None, *, upper_bound: bool = True
) -> MeteredEgress:
    meter = EgressMeter(
        id="aws:1:us-east-1:i-7",
        kind="machine",
        bytes=count,
        started_at=NOW,
        ended_at=NOW,
        scope="all",
        cost_usd=None if usd is None else Decimal(usd),
    )
    return MeteredEgress(
        meter=meter, name=name, attribution=attribution("llama"), upper_bound=upper_bound
    )


def shown(*egress: MeteredEgress) -> list[str]:
    written = StringIO()
    console = Console(width=80, file=written)
    console.print(*render(replace(report(), egress=egress)))
    lines = [line.strip() for line in written.getvalue().splitlines()]
    begin = lines.index("What left") if "What left" in lines else len(lines)
    end = next((place for place in range(begin, len(lines)) if not lines[place]), None)
    return [" ".join(line.split()) for line in lines[begin + 1 : end]]


def test_meters_with_volume_and_cost() -> None:
    assert shown(
        left("trainer-1", 130 * 2**30, "2.70"),
        left("nat-a", 2**30, "0.045", upper_bound=False),
        left(None, 2**29, None),
        left("quiet", 0, "0"),
        left("free", 2**30, "0"),
    ) == [
        "trainer-1 130.0 GB at most $2.70 since 11-23 08:00",
        "nat-a 1.0 GB $0.0450 since 11-23 08:00",
        "i-7 0.5 GB price unknown since 11-23 08:00",
        "free 1.0 GB $0.00 since 11-23 08:00",
    ]


def test_nothing_left_is_nothing_told() -> None:
    assert shown() == []
    assert shown(left("quiet", 0, "0")) == []


def test_only_the_dearest_are_named() -> None:
    assert shown(*[left("i", 2**30, "1")] * 8)[-1] == "and 3 more meters: --json lists all of them"


def test_a_name_is_only_text() -> None:
    assert shown(left("[bold]x\x1b[2J", 2**30, "1"))[0].startswith("[bold]x")
