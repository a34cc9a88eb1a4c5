"""Machines, and what a Prometheus saw of their GPUs in the last three hours."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from policies.facts import Machine, Window
from tests.builders import NAN, machine
from tests.providers.prometheus.real_server import History, Samples

NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
"""Near the real time: a Prometheus keeps nothing that lies in its future."""
SINCE = NOW - timedelta(hours=3)
FINE = Window(started_at=SINCE, ended_at=NOW, period_s=300)
COARSE = Window(started_at=SINCE, ended_at=NOW, period_s=3600)
PEAK_AT = 3660
"""Seconds after `SINCE` at which the idle machine's second GPU works for one sample."""
SILENT = range(3600, 7200)
"""Seconds after `SINCE` in which nothing scraped the machine `gappy`."""

UTIL = "DCGM_FI_DEV_GPU_UTIL"
ENGINE = "DCGM_FI_PROF_GR_ENGINE_ACTIVE"
USED = "DCGM_FI_DEV_FB_USED"
FREE = "DCGM_FI_DEV_FB_FREE"
POWER = "DCGM_FI_DEV_POWER_USAGE"


def booted(name: str, *host_names: str, gpus: int = 1) -> Machine:
    boot = NOW - timedelta(days=2)
    return machine(name, host_names=host_names, gpus=gpus, started_at=boot, first_launched_at=boot)


BUSY = booted("busy", "ip-10-0-0-1.ec2.internal", "ip-10-0-0-1", "10.0.0.1")
IDLE = booted("idle", "ip-10-0-0-2.ec2.internal", "10.0.0.2", gpus=2)
SLICED = booted("sliced", "10.0.0.3", gpus=2)
GAPPY = booted("gappy", "10.0.0.4")
TWIN_A = booted("twin-a", "worker")
TWIN_B = booted("twin-b", "worker")
BROKEN = booted("broken", "10.0.0.6")
ABSENT = booted("absent", "10.0.0.9")
LATE = booted("late", "10.0.0.7")
"""Seen only in the last two minutes of the first hour, idle, and of the second, at work."""
FLEET = (BUSY, IDLE, SLICED, GAPPY, TWIN_A, TWIN_B, BROKEN, LATE, ABSENT)


def every_minute(value: Callable[[int], float]) -> Samples:
    start = SINCE.timestamp()
    return [(start + second, value(second)) for second in range(0, 3 * 3600, 60)]


def always(value: float) -> Samples:
    return every_minute(lambda _: value)


def peak(second: int) -> float:
    return 77.0 if second == PEAK_AT else 0.0


def with_a_gap(value: float) -> Samples:
    start = SINCE.timestamp()
    return [(at, v) for at, v in always(value) if int(at - start) not in SILENT]


def late() -> Samples:
    samples = every_minute(lambda second: 60.0 if second > 3600 else 0.0)
    start = SINCE.timestamp()
    return [(at, v) for at, v in samples if (at - start) % 3600 >= 3480 and at - start < 7200]


def history() -> History:
    busy = {"Hostname": "ip-10-0-0-1", "gpu": "0", "UUID": "GPU-1"}
    first = {"instance": "10.0.0.2:9400", "gpu": "0"}
    second = {"instance": "10.0.0.2:9400", "UUID": "GPU-22"}
    slices = [{"instance_id": "i-sliced", "gpu": "0", "GPU_I_ID": number} for number in ("1", "2")]
    gappy = {"instance": "10.0.0.4:9400", "gpu": "0"}
    twins = {"Hostname": "worker", "gpu": "0"}
    broken = {"instance": "10.0.0.6:9400", "gpu": "0"}
    used = every_minute(lambda second: 20000.0 if second % 120 else 18000.0)
    free = every_minute(lambda second: 4000.0 if second % 120 else 6000.0)
    return {
        UTIL: [
            (busy, every_minute(lambda second: 95.0 if second % 120 else 85.0)),
            (first, always(0.0)),
            (second, every_minute(peak)),
            (gappy, with_a_gap(0.0)),
            (twins, always(0.0)),
            (broken, always(NAN)),
            ({"instance": "10.0.0.7:9400", "gpu": "0"}, late()),
        ],
        ENGINE: [(slices[0], always(0.0)), (slices[1], always(0.64)), (first, always(0.02))],
        USED: [(busy, used), *((each, always(9000.0)) for each in slices)],
        FREE: [(busy, free)],
        POWER: [(busy, always(250.0)), ({"instance_id": "i-sliced", "gpu": "0"}, always(90.0))],
    }
