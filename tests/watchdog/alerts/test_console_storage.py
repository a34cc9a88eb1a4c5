"""What a person sees of storage on a terminal."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from policies.facts import Storage
from tests.builders import NOW, attribution
from tests.watchdog.alerts.reports import report
from tests.watchdog.alerts.test_console import EVIL, line_of, printed
from watchdog.patrol_report import AttributedStorage

GIB = 2**30


def stored(native_id: str, usd: str | None, workload: str | None = "llama", **changes: Any) -> Any:
    values: dict[str, Any] = {
        "id": f"aws:123456789012:us-east-1:{native_id}",
        "kind": "volume",
        "name": None,
        "size_bytes": 500 * GIB,
        "monthly_cost_usd": None if usd is None else Decimal(usd),
    }
    storage = Storage(**(values | changes))
    belongs = replace(attribution(workload), resource=storage.id)
    return AttributedStorage(storage=storage, attribution=belongs)


def test_the_dearest_stand_first_and_the_sum_counts_all() -> None:
    several = [stored(f"vol-{n}", f"{n}.00") for n in range(1, 9)]
    seen = printed(report(storage=tuple(several)))
    assert "8 pieces of storage, $36.00 a month" in seen
    listed = [line.split()[2].strip(",") for line in seen.splitlines() if "/month" in line]
    assert listed == ["vol-8", "vol-7", "vol-6", "vol-5", "vol-4"]


def test_what_has_no_cost_is_no_zero() -> None:
    seen = printed(report(storage=(stored("vol-1", "8.00"), stored("snap-1", None))))
    assert "2 pieces of storage, $8.00 a month at least; 1 of them without a cost" in seen
    assert line_of(seen, "snap-1").split()[0] == "?/month"


def test_what_nobody_uses_is_told() -> None:
    loose = stored("vol-1", "8.00", None, unattached_since=NOW)
    line = line_of(printed(report(storage=(loose,))), "vol-1")
    assert "volume vol-1, 500 GB, attached to nothing" in line
    assert "no workload" in line


def test_names_that_anybody_can_set_are_text() -> None:
    seen = printed(report(storage=(stored("vol-1", "8.00", EVIL, name=EVIL),)), terminal=True)
    assert "\x1b[31m" not in seen
    assert "]8;" not in seen
    assert "\u202e" not in seen


def test_without_storage_nothing_is_said() -> None:
    assert "storage" not in printed(report())
