"""What a run used of the GPUs: by its own processes where they are told, never by a guess."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from policies.grids import PhaseLimits
from providers.local.nvml import Device, Sample
from providers.local.occupants import Process
from tests.providers.local.standin import compiled
from tests.watchdog.recording.process import Desk
from watchdog.recording.usage import ACTIVE_PCT, Usage, visible_gpus

OURS = 100


def usage(*, visible: tuple[str, ...] | None = None) -> Usage:
    return Usage(ours=lambda pid: pid == OURS, visible=visible)


def device(
    gpu: str = "0",
    pct: float | None = 90.0,
    used: float | None = 1000.0,
    pids: tuple[int, ...] | None = (OURS,),
    held: float | None = 800.0,
) -> Device:
    processes = None
    if pids is not None:
        processes = tuple(Process(pid=pid, name="python", held_mib=held) for pid in pids)
    return Device(
        board=int(gpu),
        id=gpu,
        model="A100-SXM4-80GB",
        utilisation_pct=pct,
        memory_used_mib=used,
        memory_total_mib=81920.0,
        processes=processes,
    )


def sample(*devices: Device) -> Sample:
    return Sample(driver="550", devices=devices, boards=len(devices), power_w=None)


def test_active_means_what_it_means_elsewhere() -> None:
    assert PhaseLimits().active_pct == ACTIVE_PCT


def test_peak_and_mean_of_the_gpus_that_it_holds() -> None:
    seen = usage()
    seen.add(sample(device(pct=100, used=1000), device("1", pids=())), 1.0)
    seen.add(sample(device(pct=40, used=3000), device("1", pids=())), 4.0)
    told = seen.told()
    assert [gpu.gpu for gpu in told.gpus] == ["0"]
    assert told.peak_memory_mib == 3000
    assert told.utilisation_mean_pct == pytest.approx((100 + 3 * 40) / 4)


def test_on_a_shared_gpu_only_its_own_memory_counts() -> None:
    seen = usage()
    seen.add(sample(device(pids=(OURS, 7), used=60_000, held=800)), 1.0)
    assert seen.told().peak_memory_mib == 800
    unknown = usage()
    unknown.add(sample(device(pids=(OURS, 7), used=60_000, held=None)), 1.0)
    assert unknown.told().peak_memory_mib is None


def test_setup_ends_with_activity_that_lasts() -> None:
    seen = usage()
    for at, pct in ((1, 0), (2, 90), (3, 0), (4, 90), (6, 90)):
        seen.add(sample(device(pct=pct)), at)
    assert seen.told().setup_seconds is None
    seen.add(sample(device(pct=90)), 9.0)
    assert seen.told().setup_seconds == 4.0


def test_where_processes_are_not_told_the_visible_gpus_count() -> None:
    seen = usage(visible=("1",))
    seen.add(sample(device("0", pids=None), device("1", pids=None, pct=None)), 1.0)
    assert [gpu.gpu for gpu in seen.told().gpus] == ["1"]
    assert seen.told().utilisation_mean_pct is None


def test_in_a_container_the_busy_gpus_count() -> None:
    """The driver tells processes by the host's count."""
    seen = Usage(ours=lambda _: None, visible=None)
    seen.add(sample(device("0", pct=0, pids=(7,)), device("1", pct=80, pids=(8,))), 1.0)
    assert [gpu.gpu for gpu in seen.told().gpus] == ["1"]
    assert seen.told().peak_memory_mib == 1000


def test_on_a_machine_of_others_nothing_is_guessed() -> None:
    seen = usage()
    seen.add(sample(device(pids=(7,))), 1.0)
    assert seen.told().gpus == ()


def test_one_unmeasured_gpu_makes_the_mean_unknown() -> None:
    seen = usage()
    seen.add(sample(device("0"), device("1", pct=None)), 1.0)
    assert len(seen.told().gpus) == 2
    assert seen.told().utilisation_mean_pct is None


@pytest.mark.parametrize(
    ("text", "gpus"),
    [("0,2", ("0", "2")), ("MIG-a", ("MIG-a",)), ("GPU-1", None), ("", ()), (None, None)],
)
def test_gpus_that_the_environment_names(text: str | None, gpus: tuple[str, ...] | None) -> None:
    environ = {} if text is None else {"CUDA_VISIBLE_DEVICES": text}
    assert visible_gpus(environ) == gpus


def test_a_run_beside_a_driver(desk: Desk, tmp_path: Path) -> None:
    """The stand-in says that one GPU is busy and holds 7000 MiB."""
    library = compiled(tmp_path)
    desk.more = {
        "LD_LIBRARY_PATH": str(library),
        "STANDIN_GPUS": "2",
        "STANDIN_PCT": "97",
        "STANDIN_HELD_MIB": "7000",
        "CUDA_VISIBLE_DEVICES": "1",
    }
    desk.run(sys.executable, "-c", "import time; time.sleep(8)")
    run = desk.the_run()
    assert (run["gpus"], run["gpu_model"]) == (1, "A100-SXM4-80GB")
    assert (run["peak_gpu_memory_mib"], run["gpu_utilisation_mean_pct"]) == (7000, 97)
    assert run["gpu_memory_mib"] == 81920
    assert run["setup_seconds"] is not None
    assert float(str(run["setup_seconds"])) < 5


def test_without_a_driver_nothing_is_told_of_gpus(desk: Desk) -> None:
    desk.run("sleep", "1")
    run = desk.the_run()
    assert (run["gpus"], run["peak_gpu_memory_mib"], run["setup_seconds"]) == (None, None, None)


def test_the_wrapper_costs_next_to_nothing(desk: Desk, tmp_path: Path) -> None:
    """Processor time of the wrapper in its steady state, eight GPUs."""
    desk.more = {"LD_LIBRARY_PATH": str(compiled(tmp_path)), "STANDIN_GPUS": "8"}
    process = desk.start("sleep", "12")
    time.sleep(4)
    before = _cpu_s(process.pid)
    time.sleep(6)
    after = _cpu_s(process.pid)
    process.communicate(timeout=60)
    assert (after - before) / 6 < 0.01


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
