"""What a patrol makes of storage: memory, money and the workload that it belongs to."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from policies.facts import Gap, Machine, Storage, StorageEra, StorageMeter
from policies.rules import load_pack
from tests.builders import NOW, machine
from tests.shelf import Shelf
from watchdog.costs.breakdown import breakdown
from watchdog.ledger.store import Ledger
from watchdog.mapping import load_mapping
from watchdog.patrol import Parts, patrol
from watchdog.patrol_json import patrol_json

GIB = 2**30
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
TODAY = NOW.replace(hour=0)
PLACE = "aws:123456789012:us-east-1"
CENT = Decimal("0.01")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(str(tmp_path / "ledger"))


def gigabytes(quantity: float | None, month_usd: str | None = "0.08") -> tuple[StorageMeter, ...]:
    amount = None if quantity is None else Decimal(str(quantity))
    price = None if month_usd is None else Decimal(month_usd)
    return (StorageMeter(name="capacity", unit="GB", quantity=amount, unit_month_usd=price),)


def disk(
    name: str = "vol-1", size: int = 100, since: datetime = NOW - DAY, **changes: Any
) -> Storage:
    """A disk at 0.08 USD a GB that was made a day before `NOW`, attached to nothing."""
    eras = (StorageEra(started_at=since, meters=gigabytes(size)),)
    values: dict[str, Any] = {
        "id": f"{PLACE}:{name}",
        "kind": "volume",
        "name": None,
        "size_bytes": size * GIB,
        "monthly_cost_usd": eras[0].month_usd,
        "created_at": since,
        "eras": eras,
    }
    return Storage(**(values | changes))


def bucket(days: dict[int, float] | None = None, name: str = "data", **changes: Any) -> Storage:
    """A bucket with a size for some days before `TODAY`; None: not read in this pass."""
    eras = tuple(
        StorageEra(started_at=TODAY - ago * DAY, meters=gigabytes(size, "0.023"))
        for ago, size in sorted((days or {}).items(), reverse=True)
    )
    values: dict[str, Any] = {
        "id": f"{PLACE}:{name}",
        "kind": "bucket",
        "name": name,
        "size_bytes": None if not days else int(days[min(days)] * GIB),
        "monthly_cost_usd": eras[-1].month_usd if eras else None,
        "sized_at": None if days is None else NOW,
        "eras": eras,
    }
    return Storage(**(values | changes))


def look(
    ledger: Ledger,
    *storage: Storage,
    now: datetime = NOW,
    machines: tuple[Machine, ...] = (),
    shelf: Shelf | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """One patrol; its storage by native id."""
    provider = shelf or Shelf(*machines, storage=storage)
    values: dict[str, Any] = {
        "providers": [provider],
        "ledger": ledger,
        "policy": load_pack("observe"),
        "storage": True,
    }
    report = patrol_json(patrol(Parts(**(values | changes)), now=now))
    told: Any = report["storage"]
    return {each["id"].rsplit(":", 1)[-1]: each for each in told}


def spent(
    ledger: Ledger, since: datetime, until: datetime, by: str = "workload"
) -> dict[str, Decimal]:
    rows = breakdown(ledger, since=since, until=until, by=by).rows
    return {row.key: row.amounts()["storage"] or Decimal(0) for row in rows}


def unpriced(ledger: Ledger, since: datetime, until: datetime) -> list[str]:
    told = breakdown(ledger, since=since, until=until, by="workload").unpriced
    return [each.id.rsplit(":", 1)[-1] for each in told]


def test_the_first_patrol_charges_two_weeks_back(ledger: Ledger) -> None:
    look(ledger, disk(since=NOW - 30 * DAY))
    total = spent(ledger, NOW - 20 * DAY, NOW)["unattributed"]
    assert total.quantize(CENT) == (8 * Decimal(14 * 24) / 730).quantize(CENT)


def test_so_much_that_two_weeks_are_too_long_is_told(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watchdog.storage.MOST_HOURS", 100)
    values: dict[str, Any] = {"ledger": ledger, "policy": load_pack("observe"), "storage": True}
    disks = [disk(f"vol-{n}", since=NOW - 30 * DAY) for n in range(2)]
    parts = Parts(providers=[Shelf(storage=disks)], **values)
    (gap,) = patrol(parts, now=NOW).gaps
    assert gap.what == "storage history"
    assert "2 of them are charged from 50 hours ago on" in gap.why
    total = spent(ledger, NOW - 20 * DAY, NOW)["unattributed"]
    assert total == pytest.approx(Decimal(2 * 8 * 50) / 730, abs=Decimal("1e-6"))
    assert patrol(parts, now=NOW + HOUR).gaps == ()


def test_patrols_do_not_count_an_hour_twice(ledger: Ledger) -> None:
    for minutes in range(0, 150, 25):
        look(ledger, disk(), now=NOW + timedelta(minutes=minutes))
    total = spent(ledger, NOW - 2 * DAY, NOW + DAY)["unattributed"]
    expected = 8 * (Decimal(24) + Decimal(125) / 60) / 730
    assert total == pytest.approx(expected, abs=Decimal("1e-7"))


def test_a_resize_that_the_cloud_dates(ledger: Ledger) -> None:
    look(ledger, disk(since=NOW), now=NOW + timedelta(minutes=5))
    eras = (
        StorageEra(started_at=NOW, meters=gigabytes(100)),
        StorageEra(started_at=NOW + timedelta(minutes=18), meters=gigabytes(250)),
    )
    for minutes in (25, 60):
        look(ledger, disk(eras=eras, size_bytes=250 * GIB), now=NOW + timedelta(minutes=minutes))
    gigabyte_hours = Decimal(100 * 18 + 250 * 42) / 60
    total = spent(ledger, NOW, NOW + HOUR)["unattributed"]
    assert total == pytest.approx(gigabyte_hours * Decimal("0.08") / 730, abs=Decimal("1e-8"))


def test_a_resize_that_nobody_dates_counts_from_its_first_sight(ledger: Ledger) -> None:
    for minutes, size in ((5, 100), (20, 100), (30, 250), (45, 250), (60, 250)):
        look(ledger, disk(size=size, since=NOW - DAY), now=NOW + timedelta(minutes=minutes))
    gigabyte_hours = Decimal(100 + 250) / 2
    total = spent(ledger, NOW, NOW + HOUR)["unattributed"]
    assert total == pytest.approx(gigabyte_hours * Decimal("0.08") / 730, abs=Decimal("1e-8"))


def test_a_bucket_costs_each_day_what_it_held_that_day(ledger: Ledger) -> None:
    look(ledger, bucket({3: 100, 2: 200, 1: 400}))
    rate = Decimal("0.023") * 24 / 730
    for ago, size in ((3, 100), (2, 200)):
        begin = TODAY - ago * DAY
        day = spent(ledger, begin, begin + DAY)["unattributed"]
        assert day == pytest.approx(size * rate, abs=Decimal("1e-7"))


def test_a_size_that_comes_late_mends_the_days_before(ledger: Ledger) -> None:
    look(ledger, bucket({3: 100}))
    tomorrow = NOW + DAY
    eras = bucket({3: 100, 2: 200, 1: 300}).eras
    late = bucket({3: 100, 2: 200, 1: 300}, sized_at=tomorrow, eras=eras)
    look(ledger, late, now=tomorrow)
    rate = Decimal("0.023") * 24 / 730
    for ago, size in ((3, 100), (2, 200), (1, 300)):
        begin = TODAY - ago * DAY
        day = spent(ledger, begin, begin + DAY)["unattributed"]
        assert day == pytest.approx(size * rate, abs=Decimal("1e-7"))


def test_between_daily_readings_the_ledger_knows_the_size(ledger: Ledger) -> None:
    look(ledger, bucket({1: 730}))
    shelf = Shelf(storage=[bucket()])
    told = look(ledger, shelf=shelf, now=NOW + 2 * HOUR)["data"]
    assert told["size_bytes"] == 730 * GIB
    assert told["monthly_cost_usd"] == "16.790"
    assert shelf.storage_asked[0].sized_at == {f"{PLACE}:data": NOW}
    total = spent(ledger, NOW, NOW + 2 * HOUR)["unattributed"]
    assert total == pytest.approx(2 * Decimal("0.023"), abs=Decimal("1e-8"))


def test_a_size_of_more_than_two_weeks_ago_is_not_believed(ledger: Ledger) -> None:
    look(ledger, bucket({1: 100}))
    told = look(ledger, bucket(), now=NOW + 20 * DAY)["data"]
    assert told["size_bytes"] is None
    assert told["monthly_cost_usd"] is None
    assert "too old to believe" in told["why"][0]


def test_a_bucket_without_a_size_is_unpriced_until_it_has_one(ledger: Ledger) -> None:
    silent = bucket({}, why=("CloudWatch has no daily size of it",), created_at=NOW - DAY)
    told = look(ledger, silent)["data"]
    assert told["size_bytes"] is None
    assert told["why"] == ["CloudWatch has no daily size of it"]
    assert unpriced(ledger, NOW - DAY, NOW + DAY) == ["data"]
    tomorrow = NOW + DAY
    look(ledger, bucket({2: 100, 1: 100}, sized_at=tomorrow), now=tomorrow)
    assert unpriced(ledger, TODAY - 2 * DAY, tomorrow) == []
    rate = Decimal("0.023") * 24 / 730
    day = spent(ledger, TODAY - DAY, TODAY)["unattributed"]
    assert day == pytest.approx(100 * rate, abs=Decimal("1e-7"))


def test_storage_without_a_price_is_listed_and_not_free(ledger: Ledger) -> None:
    eras = (StorageEra(started_at=NOW - DAY, meters=gigabytes(100, None)),)
    told = look(ledger, disk(eras=eras, monthly_cost_usd=None))["vol-1"]
    assert told["monthly_cost_usd"] is None
    assert unpriced(ledger, NOW - DAY, NOW) == ["vol-1"]


def address(now: datetime) -> Storage:
    """An idle one, as a listing of that moment tells it."""
    meter = StorageMeter(
        name="public IPv4 address",
        unit="address",
        quantity=Decimal(1),
        unit_month_usd=Decimal("3.65"),
    )
    return disk(
        "eipalloc-1",
        kind="address",
        size_bytes=None,
        created_at=None,
        monthly_cost_usd=Decimal("3.65"),
        eras=(StorageEra(started_at=now, meters=(meter,)),),
    )


def test_an_address_counts_from_its_first_sight(ledger: Ledger) -> None:
    for minutes in (30, 60, 90):
        now = NOW + timedelta(minutes=minutes)
        look(ledger, address(now), now=now)
    total = spent(ledger, NOW, NOW + 2 * HOUR)["unattributed"]
    assert total == Decimal("0.005")


def test_an_address_that_served_for_a_while_counts_from_its_return(ledger: Ledger) -> None:
    """Idle for the first half hour and the last; in use for an hour between."""
    for minutes, idle in ((0, True), (30, True), (31, False), (90, True), (120, True)):
        now = NOW + timedelta(minutes=minutes)
        look(ledger, *([address(now)] if idle else []), now=now)
    total = spent(ledger, NOW, NOW + 2 * HOUR)["unattributed"]
    assert total == Decimal("0.005")


def test_what_is_gone_costs_nothing_more(ledger: Ledger) -> None:
    look(ledger, disk())
    assert look(ledger, now=NOW + HOUR) == {}
    total = spent(ledger, NOW, NOW + DAY)
    assert sum(total.values(), Decimal(0)) == 0
    (row,) = [row for row in ledger.rows("storage") if row["state"] == "gone"]
    assert row["id"] == f"{PLACE}:vol-1"
    assert ledger.rows("storage_now") == []


def test_what_could_not_be_listed_is_not_gone(ledger: Ledger) -> None:
    look(ledger, disk())
    gap = Gap(provider="aws", what="volumes", why="throttled", region="us-east-1")
    look(ledger, shelf=Shelf(storage_gaps=[gap]), now=NOW + HOUR)
    assert len(ledger.rows("storage_now")) == 1
    look(ledger, disk(), now=NOW + 2 * HOUR)
    total = spent(ledger, NOW, NOW + 2 * HOUR)["unattributed"]
    assert total == pytest.approx(Decimal(16) / 730, abs=Decimal("1e-8"))


def test_what_did_not_change_is_not_written_again(ledger: Ledger) -> None:
    for minutes in (0, 5, 10):
        look(ledger, disk(), bucket() if minutes else bucket({1: 5}), now=NOW + minutes * HOUR / 60)
    assert len(ledger.rows("raw_storage")) == 2


def test_since_when_a_disk_is_loose_is_remembered(ledger: Ledger) -> None:
    box = machine()
    attached = disk(attached_to=box.id, attached_at=NOW - DAY)
    assert look(ledger, attached, machines=(box,))["vol-1"]["unattached_since"] is None
    for hours in (1, 2):
        told = look(ledger, disk(), machines=(box,), now=NOW + hours * HOUR)["vol-1"]
        assert told["unattached_since"] == "2026-11-23T09:00:00Z"
        assert told["attached_to"] is None


def test_its_own_tag_comes_first(ledger: Ledger) -> None:
    box = machine(tags={"spend-watchdog:workload": "llama"})
    tagged = disk(
        attached_to=box.id, attached_at=NOW - DAY, tags={"spend-watchdog:workload": "dataset"}
    )
    told = look(ledger, tagged, machines=(box,))["vol-1"]
    assert (told["workload"], told["attributed_by"]) == ("dataset", "tag spend-watchdog:workload")


def test_the_mapping_file_may_name_it(ledger: Ledger) -> None:
    text = (
        "schema: spend-watchdog/mapping/1\n"
        'workloads: [{workload: corpus, group: nlp, match: {name: "data*"}}]\n'
    )
    shelf = Shelf(storage=[bucket({1: 1}), bucket({1: 1}, name="other")])
    mapping = load_mapping(text, "m.yaml")
    told = look(ledger, shelf=shelf, mapping=mapping)
    assert told["data"]["workload"] == "corpus"
    assert told["other"]["workload"] is None
    named = shelf.storage_asked[0].named
    assert [named(each) for each in shelf._storage] == [True, False]
    everything = load_mapping(text.replace("data*", "*"), "m.yaml")
    look(ledger, shelf=shelf, mapping=everything)
    assert not shelf.storage_asked[1].named(bucket()), "a glob for all names none"


def test_a_disk_follows_the_machine_that_it_is_attached_to(ledger: Ledger) -> None:
    box = machine(tags={"spend-watchdog:workload": "llama"})
    attached = disk(attached_to=box.id, attached_at=NOW - DAY, since=NOW - DAY)
    snapshot = disk("snap-1", kind="snapshot", made_from=attached.id)
    told = look(ledger, attached, snapshot, machines=(box,))
    assert told["vol-1"]["workload"] == "llama"
    assert told["vol-1"]["attributed_by"] == (
        "attached to i-trainer-1: tag spend-watchdog:workload"
    )
    assert told["snap-1"]["attributed_by"].startswith("made of vol-1: attached to")
    later = look(ledger, disk(), machines=(box,), now=NOW + HOUR)["vol-1"]
    assert later["workload"] == "llama"
    assert later["attributed_by"].startswith("was attached to i-trainer-1")
    other = machine("other-1", tags={"spend-watchdog:workload": "bert"})
    moved = disk(attached_to=other.id, attached_at=NOW + 2 * HOUR)
    look(ledger, moved, machines=(box, other), now=NOW + 4 * HOUR)
    by = spent(ledger, NOW, NOW + 4 * HOUR)
    assert by["llama"] == pytest.approx(by["bert"], abs=Decimal("1e-6"))
    assert sum(by.values(), Decimal(0)) == pytest.approx(Decimal(32) / 730, abs=Decimal("1e-7"))


def test_a_machine_that_is_gone_still_explains_its_disk(ledger: Ledger) -> None:
    box = machine(tags={"spend-watchdog:workload": "llama"})
    look(ledger, disk(attached_to=box.id, attached_at=NOW - DAY), machines=(box,))
    assert look(ledger, disk(), now=NOW + HOUR)["vol-1"]["workload"] == "llama"


def test_before_it_was_attached_a_disk_was_nobodys(ledger: Ledger) -> None:
    box = machine(tags={"spend-watchdog:workload": "llama"})
    attached = disk(attached_to=box.id, attached_at=NOW - 6 * HOUR, since=NOW - DAY)
    look(ledger, attached, machines=(box,))
    by = spent(ledger, NOW - DAY, NOW)
    assert by["llama"] == pytest.approx(Decimal(48) / 730, abs=Decimal("1e-7"))
    assert by["unattributed"] == pytest.approx(Decimal(18 * 8) / 730, abs=Decimal("1e-7"))


def test_runs_that_wrote_to_a_bucket_share_it(ledger: Ledger) -> None:
    rows = [
        {
            "run_id": f"r{n}",
            "workload": workload,
            "started_at": NOW - DAY,
            "ended_at": NOW - HOUR,
            "outcome": "succeeded",
            "data": f"s3://data/{workload}/",
            "revision": "1",
            "observed_at": NOW,
        }
        for n, workload in enumerate(["llama", "llama", "bert"])
    ]
    ledger.append("runs", rows)
    shelf = Shelf(storage=[bucket({1: 730}), bucket({1: 730}, name="data-2")])
    told = look(ledger, shelf=shelf)
    assert told["data"]["attributed_by"].startswith("run r")
    assert told["data-2"]["workload"] is None
    assert shelf.storage_asked[0].named(bucket())
    assert not shelf.storage_asked[0].named(bucket(name="data-2"))
    shares = {
        row["workload"]: row["share"]
        for row in ledger.rows("attributions")
        if row["resource"] == f"{PLACE}:data"
    }
    assert shares == {"llama": 0.5, "bert": 0.5}
    by = spent(ledger, TODAY, NOW)
    assert by["llama"] == by["bert"] == pytest.approx(Decimal("0.023") * 4, abs=Decimal("1e-7"))


def test_a_patrol_that_may_not_look_at_storage_asks_nothing(ledger: Ledger) -> None:
    shelf = Shelf(storage=[disk()])
    values: dict[str, Any] = {"providers": [shelf], "ledger": ledger, "storage": False}
    report = patrol(Parts(policy=load_pack("observe"), **values), now=NOW)
    assert report.storage == ()
    assert shelf.storage_asked == []
    assert ledger.rows("raw_storage") == []


def test_storage_that_breaks_is_a_gap_and_the_machines_still_come(ledger: Ledger) -> None:
    class Broken(Shelf):
        def storage(self, asked: object) -> Any:
            raise KeyError("Volumes")

    values: dict[str, Any] = {"providers": [Broken(machine())], "ledger": ledger}
    report = patrol(Parts(policy=load_pack("observe"), storage=True, **values), now=NOW)
    assert len(report.machines) == 1
    (gap,) = [gap for gap in report.gaps if gap.what == "storage"]
    assert "KeyError" in gap.why


def test_retagging_moves_the_past(ledger: Ledger) -> None:
    look(ledger, disk())
    look(ledger, replace(disk(), tags={"spend-watchdog:workload": "llama"}), now=NOW + HOUR)
    by = spent(ledger, NOW - DAY, NOW + HOUR)
    assert by.keys() == {"llama"}
    assert by["llama"] == pytest.approx(Decimal(25 * 8) / 730, abs=Decimal("1e-7"))
