"""One patrol over a thousand GPU machines against Cloud Custodian, at the same slow AWS.

    python -m tests.bench.custodian [--machines 1000] [--latency-ms 50]

Custodian answers one question about each machine: was any GPU used in the last three hours? Its
regions run side by side. The patrol is the whole command, start-up and ledger included; it reads
five metrics of every GPU and every host at 36 points. Its first one also reads two weeks back, so
both are told; the limits are for the second. Both programs are run once before, untimed, so that
neither pays for moto's slow XML, cold disks or compiling.

Custodian mostly waits and the patrol mostly computes: others on the machine slow the patrol more.
The load average before each run is told, and the processor time, which others change less.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policies.verdicts import Phase
from tests.bench.cloud_custodian import VERSION, installed, quiet_machines
from tests.bench.gpu_fleet import REGIONS, FleetMachine, fleet
from tests.bench.slow_aws import Counts, SlowServer, slow_aws

TIME_SHARE, METRIC_CALL_SHARE = 0.35, 0.025
FINE, UNSEEN = 0, 4
PATROL = ("patrol", "--json", "--no-alerts", "--provider", "aws")
SHOWN = 5
"""Mistakes that are told one by one."""


@dataclass(slots=True)
class Clock:
    """What the programs took that ran within `timed`."""

    seconds: float = 0.0
    cpu_s: float = 0.0
    load: float = 0.0
    """Average number of processes that wanted a processor in the minute before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One run of one program."""

    name: str
    clock: Clock
    counts: Counts
    mistakes: tuple[str, ...]
    gaps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The server, the fleet as it was seeded, and a folder for what the programs write."""

    server: SlowServer
    machines: Sequence[FleetMachine]
    folder: Path

    def environment(self, caller: str) -> dict[str, str]:
        """No setting, profile or cache of whoever runs this; bytecode is kept."""
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LANG": "C.UTF-8",
            **self.server.environment(caller),
        }


@contextmanager
def timed() -> Iterator[Clock]:
    clock = Clock(load=os.getloadavg()[0])
    cpu_before, began = _cpu_s(), time.perf_counter()
    yield clock
    clock.seconds, clock.cpu_s = time.perf_counter() - began, _cpu_s() - cpu_before


def _cpu_s() -> float:
    """Processor time of the child processes that have ended; the server runs on."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def custodian(stage: Stage, command: Path, name: str) -> Measured:
    folder = stage.folder / name.replace(" ", "-")
    folder.mkdir()
    environment = stage.environment("custodian")
    with timed() as clock:
        found = quiet_machines(command, REGIONS, environment, folder)
    seeded = zip(stage.server.instances, stage.machines, strict=True)
    quiet = {instance for instance, each in seeded if each.phase is not Phase.ACTIVE}
    mistakes = [f"{machine}: found, or not, against what was seeded" for machine in found ^ quiet]
    counts = stage.server.counts("custodian")
    return Measured(name=name, clock=clock, counts=counts, mistakes=tuple(mistakes))


def patrol(stage: Stage, name: str, ledger: str) -> Measured:
    program = Path(sys.executable).with_name("spend-watchdog")
    regions = [option for region in REGIONS for option in ("--region", region)]
    environment = stage.environment("watchdog")
    environment["SPEND_WATCHDOG_LEDGER"] = str(stage.folder / ledger)
    with timed() as clock:
        done = subprocess.run(
            [program, *PATROL, *regions],
            cwd=stage.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode not in {FINE, UNSEEN}:
        raise RuntimeError(f"the patrol ended with {done.returncode}: {done.stderr}")
    report = json.loads(done.stdout)
    return Measured(
        name=name,
        clock=clock,
        counts=stage.server.counts("watchdog"),
        mistakes=tuple(mistakes_of(report["machines"], stage)),
        gaps=tuple(f"{gap['region']}: {gap['what']}: {gap['why']}" for gap in report["gaps"]),
    )


def mistakes_of(judged: Sequence[Mapping[str, Any]], stage: Stage) -> list[str]:
    """Machines that are missing, or whose phase or workload differs from what was seeded."""
    by_instance = {machine["id"].rpartition(":")[2]: machine for machine in judged}
    mistakes = [] if len(judged) == len(stage.machines) else [f"{len(judged)} machines were told"]
    for instance, seeded in zip(stage.server.instances, stage.machines, strict=True):
        machine = by_instance.get(instance, {})
        told = (machine.get("phase"), machine.get("workload"), machine.get("region"))
        if told != (seeded.phase.value, seeded.workload, seeded.region):
            mistakes.append(f"{instance}: {told}, yet {seeded} was seeded")
    return mistakes


def measured(machines: int, latency_s: float) -> list[Measured]:
    """Custodian, the first patrol and the second, each after a rehearsal of its kind."""
    command = installed()
    print(f"starting {machines:,} machines; half a minute a thousand", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="spend-watchdog-bench-") as folder,
        slow_aws(machines=machines, latency_s=latency_s) as server,
    ):
        stage = Stage(server=server, machines=fleet(machines), folder=Path(folder))
        patrol(stage, "rehearsal", "rehearsal-ledger")
        custodian(stage, command, "custodian rehearsal")
        return [
            custodian(stage, command, f"custodian {VERSION}"),
            patrol(stage, "first patrol", "ledger"),
            patrol(stage, "second patrol", "ledger"),
        ]


def show(runs: Sequence[Measured]) -> bool:
    """The table and the limits; whether all is well."""
    peer, *_, second = runs
    print(
        f"\n{'':18} {'seconds':>8} {'ratio':>6} {'CPU s':>6} {'load':>5} {'server s':>8}"
        f" {'metric calls':>12} {'ratio':>6} {'metrics asked':>13}"
    )
    for run in runs:
        print(
            f"{run.name:18} {run.clock.seconds:8.2f} {_time_share(run, peer):6.3f}"
            f" {run.clock.cpu_s:6.2f} {run.clock.load:5.1f} {run.counts.served_s:8.2f}"
            f" {run.counts.metric_calls:12,} {_call_share(run, peer):6.3f}"
            f" {run.counts.metrics_asked:13,}"
        )
    for run in runs:
        _tell(run)
    return (
        _within("time", _time_share(second, peer), TIME_SHARE)
        & _within("metric calls", _call_share(second, peer), METRIC_CALL_SHARE)
        & (not any(run.mistakes for run in runs))
    )


def _time_share(run: Measured, peer: Measured) -> float:
    return run.clock.seconds / peer.clock.seconds


def _call_share(run: Measured, peer: Measured) -> float:
    return run.counts.metric_calls / peer.counts.metric_calls


def _tell(run: Measured) -> None:
    calls = ", ".join(f"{name} {n:,}" for name, n in sorted(run.counts.calls.items()))
    print(f"{run.name}: {len(run.mistakes):,} machines wrong; {calls}")
    for told in (*run.gaps, *run.mistakes[:SHOWN]):
        print(f"  {told}")


def _within(what: str, share: float, limit: float) -> bool:
    verdict = "within" if share <= limit else "MISSES"
    print(f"{what}: {share:.3f} of Custodian's; {verdict} the limit of {limit}")
    return share <= limit


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--machines", type=int, default=1_000)
    options.add_argument("--latency-ms", type=float, default=50.0)
    given = options.parse_args()
    return 0 if show(measured(given.machines, given.latency_ms / 1000)) else 1


if __name__ == "__main__":
    sys.exit(main())
