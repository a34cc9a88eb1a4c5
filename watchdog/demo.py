"""The demonstration: three patrols over a simulated weekend, through the real adapter.

The cloud is simulated and says so; ledger, judgement, prices and words are the product's own.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from policies.rules import load_pack
from watchdog.gather import Progress

if TYPE_CHECKING:
    from watchdog.alerts.message import Alert
    from watchdog.costs.breakdown import Breakdown
    from watchdog.patrol_report import PatrolReport

SIMULATED = (
    "SIMULATED: the AWS account below runs on this machine and holds invented machines and metrics."
    " The adapter, the ledger, the judgement and the list prices are the real ones."
)


class DemoUnavailable(Exception):  # noqa: N818 - told to the user as it is
    exit_code = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """When the three patrols take place."""

    friday: datetime
    saturday: datetime
    monday: datetime

    @property
    def patrols(self) -> tuple[datetime, datetime, datetime]:
        return self.friday, self.saturday, self.monday


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """What the demonstration has to show."""

    story: Story
    reports: tuple[PatrolReport, ...]
    alert: Alert | None
    costs: Breakdown


def weekend_before(now: datetime) -> Story:
    """The newest weekend that is over: Friday 18:00 to Monday 08:00, UTC."""
    this_monday = (now - timedelta(days=now.weekday())).replace(
        hour=8, minute=0, second=0, microsecond=0
    )
    monday = this_monday if this_monday <= now else this_monday - timedelta(days=7)
    return Story(
        friday=monday - timedelta(hours=62), saturday=monday - timedelta(hours=38), monday=monday
    )


def demonstrate(*, now: datetime, progress: Progress) -> Demo:
    """Start the simulated account, patrol three times into a ledger of its own, and look back."""
    try:
        from providers.aws.adapter import AwsProvider  # noqa: PLC0415 - an extra
        from providers.aws.simulated import REGION, simulated_aws  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise DemoUnavailable(
            f"the demo needs {error.name}: pip install 'cloud-spend-watchdog[demo]'"
        ) from None
    from watchdog.alerts.message import alert_from  # noqa: PLC0415 - heavy
    from watchdog.costs.breakdown import breakdown  # noqa: PLC0415
    from watchdog.ledger.store import Ledger  # noqa: PLC0415
    from watchdog.patrol import Parts, patrol  # noqa: PLC0415
    from watchdog.runs.files import import_files  # noqa: PLC0415
    from watchdog.workloads import verdicts_by_label  # noqa: PLC0415

    story = weekend_before(now)
    day = timedelta(hours=25)
    fine = [(story.friday - timedelta(hours=4), story.friday)]
    fine += [(at - day, at) for at in (story.saturday, story.monday)]
    progress("starting the simulated account")
    with (
        tempfile.TemporaryDirectory() as folder,
        simulated_aws(story.monday, fine=fine) as _,
    ):
        ledger = Ledger.open(str(Path(folder) / "ledger"))
        history = _written(Path(folder) / "runs.csv", story.friday)
        import_files(ledger, [history], now=story.friday, strict=True)
        reports = []
        for at in story.patrols:
            progress(f"patrol of {at:%A %H:%M}")
            parts = Parts(
                providers=[AwsProvider(regions=[REGION], clock=partial(_still, at))],
                ledger=ledger,
                policy=load_pack("observe"),
                accepted_gaps=["start and stop history"],
                version="demo",
            )
            reports.append(patrol(parts, now=at, backfill=None))
        progress("adding up")
        costs = breakdown(
            ledger,
            since=story.monday - timedelta(days=4),
            until=story.monday,
            by="workload",
            verdicts=verdicts_by_label(ledger, now=story.monday),
        )
        return Demo(story=story, reports=tuple(reports), alert=alert_from(reports[1]), costs=costs)


def _still(at: datetime) -> datetime:
    """A clock that stands still: the patrol takes place then."""
    return at


def _written(path: Path, friday: datetime) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = list(_runs(friday))
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def _runs(friday: datetime) -> Iterator[dict[str, object]]:
    """Invented histories: a nightly job that always ends well, and three that still search."""
    for night in range(1, 21):
        yield _run("nightly-embed", night, friday, "succeeded", hours=5.0, peak=20_300 + night)
    for attempt in range(1, 9):
        outcome = "succeeded" if attempt == 8 else "failed"  # noqa: PLR2004 - the newest
        yield _run(
            "vision-probe", attempt, friday, outcome, hours=0.2 * attempt, peak=9_000 * attempt
        )
        yield _run("pretrain-try", attempt, friday, "failed", hours=0.3, peak=38_000 + attempt)
        yield _run("sweep", attempt, friday, "failed" if attempt % 2 else "succeeded", hours=1.0)


def _run(
    workload: str,
    number: int,
    friday: datetime,
    outcome: str,
    *,
    hours: float,
    peak: float | None = None,
) -> dict[str, object]:
    start = friday - timedelta(days=number, hours=10)
    return {
        "run_id": f"demo-{workload}-{number}",
        "workload": workload,
        "started_at": start.astimezone(UTC).isoformat(),
        "ended_at": (start + timedelta(hours=hours)).astimezone(UTC).isoformat(),
        "outcome": outcome,
        "cause": "error" if outcome == "failed" else "",
        "gpus": 1,
        "peak_gpu_memory_mib": "" if peak is None else peak,
        "environment": "lock-1" if workload == "nightly-embed" else f"lock-{number}",
        "source": "demo",
    }
