"""The host's own files: identity, boot, counters, and what is missing from them."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from providers.local.host import Counters, counters, host_use, this_host, use_between

STAT = "cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 1 2 3\nbtime 1795585976\n"
NET = (
    "Inter-| Receive | Transmit\n face |bytes packets | bytes\n"
    "    lo: 999 1 0 0 0 0 0 0 999 1 0 0 0 0 0 0\n"
    "  eth0: 1000 1 0 0 0 0 0 0 200 1 0 0 0 0 0 0\n"
    "docker0: 5000 1 0 0 0 0 0 0 7000 1 0 0 0 0 0 0\n"
)
DISKS = "259 0 nvme0n1 1 0 8 0 1 0 20 0 0 0 0\n259 1 nvme0n1p1 1 0 8 0 1 0 20 0 0 0 0\n"


def put(root: Path, place: str, text: str) -> None:
    path = root / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    put(tmp_path, "etc/machine-id", "0123456789abcdef0123456789abcdef\n")
    put(tmp_path, "proc/stat", STAT)
    put(tmp_path, "proc/net/dev", NET)
    put(tmp_path, "proc/diskstats", DISKS)
    for real in ("sys/class/net/eth0/device", "sys/block/nvme0n1/device"):
        (tmp_path / real).mkdir(parents=True)
    return tmp_path


def test_the_identity_outlives_a_boot_and_does_not_show_the_machine_id(root: Path) -> None:
    before = this_host(root)
    put(root, "proc/stat", STAT.replace("1795585976", "1795999999"))
    after = this_host(root)
    assert before.identity == after.identity
    assert before.booted_at == datetime(2026, 11, 25, 5, 52, 56, tzinfo=UTC)
    assert after.booted_at != before.booted_at
    assert before.identity not in "0123456789abcdef0123456789abcdef"
    put(root, "etc/machine-id", "f" * 32)
    assert this_host(root).identity != before.identity


def test_without_a_machine_id_the_name_identifies_it(tmp_path: Path) -> None:
    host = this_host(tmp_path)
    assert host.identity
    assert host.booted_at is None
    assert host_use(tmp_path) is None


def test_counters_are_those_of_real_devices_alone(root: Path) -> None:
    told = counters(root)
    assert told is not None
    assert (told.cpu_busy, told.cpu_all) == (150, 1000)
    assert (told.received_bytes, told.sent_bytes) == (1000, 200)
    assert told.written_bytes == 20 * 512


def test_without_real_devices_all_but_loopback_count_and_disks_are_unknown(root: Path) -> None:
    (root / "sys/class/net/eth0/device").rmdir()
    (root / "sys/block/nvme0n1/device").rmdir()
    told = counters(root)
    assert told is not None
    assert (told.received_bytes, told.sent_bytes) == (6000, 7200)
    assert told.written_bytes is None


def test_use_is_what_happened_between_two_looks(root: Path) -> None:
    def meanwhile(seconds: float) -> None:
        put(root, "proc/stat", STAT.replace("cpu  100 0 50 800", "cpu  125 0 50 875"))

    use = host_use(root, meanwhile)
    assert use is not None
    assert use.cpu_pct == 25.0
    assert use.received_bytes_per_s == 0.0


def looked(at_s: float, ticks: tuple[int, int], received: int | None) -> Counters:
    return Counters(
        at_s=at_s,
        cpu_busy=ticks[0],
        cpu_all=ticks[1],
        received_bytes=received,
        sent_bytes=None,
        written_bytes=0,
    )


def test_a_counter_that_went_back_or_stood_is_unknown() -> None:
    use = use_between(looked(1.0, (5, 10), 500), looked(1.5, (5, 10), 100))
    assert use.cpu_pct is None
    assert use.received_bytes_per_s is None
    assert use.sent_bytes_per_s is None
    assert use.written_bytes_per_s == 0.0
    assert use_between(looked(1.0, (0, 0), 0), looked(1.5, (0, 9), 100)).received_bytes_per_s == 200
