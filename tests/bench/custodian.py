"""One patrol over a thousand GPU machines against Cloud Custodian, at the same slow AWS.

    python -m tests.bench.custodian [--machines 1000] [--latency-ms 50] [--rounds 3]

Custodian answers one question about each machine: was any GPU used in the last three hours? Its
regions run side by side. The patrol is the whole command, start-up and ledger included; it reads
five metrics of every GPU and every host at 36 points. Its first one also reads two weeks back, so
both are told; the limits are for the second. Both programs are run once before, untimed, so that
neither pays for moto's slow XML, cold disks or compiling.

Nothing is switched off: storage, egress, SageMaker and commitments are asked for as by default,
though Custodian's policy looks at machines alone.

Custodian mostly waits and the patrol mostly computes: others on the machine slow the patrol more.
So the programs take turns, the round with the median time stands for each of them, and processor
time and the load average before it are told.
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


def custodian(stage: Stage, command: Path, number: int) -> Measured:
    folder = stage.folder / f"custodian-{number}"
    folder.mkdir()
    environment = stage.environment("custodian")
    with timed() as clock:
        found = quiet_machines(command, REGIONS, environment, folder)
    seeded = zip(stage.server.instances, stage.machines, strict=True)
    quiet = {instance for instance, each in seeded if each.phase is not Phase.ACTIVE}
    mistakes = [f"{machine}: found, or not, against what was seeded" for machine in found ^ quiet]
    counts = stage.server.counts("custodian")
    name = f"custodian {VERSION}"
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


def measured(machines: int, latency_s: float, rounds: int) -> list[list[Measured]]:
    """By round, Custodian, the first patrol of a ledger and the second, after a rehearsal."""
    command = installed()
    print(f"starting {machines:,} machines; half a minute a thousand", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="spend-watchdog-bench-") as folder,
        slow_aws(machines=machines, latency_s=latency_s) as server,
    ):
        stage = Stage(server=server, machines=fleet(machines), folder=Path(folder))
        _, *counted = [_round(stage, command, number) for number in range(rounds + 1)]
        return counted


def _round(stage: Stage, command: Path, number: int) -> list[Measured]:
    ledger = f"ledger-{number}"
    return [
        custodian(stage, command, number),
        patrol(stage, "first patrol", ledger),
        patrol(stage, "second patrol", ledger),
    ]


def show(rounds: Sequence[Sequence[Measured]]) -> bool:
    """The table and the limits; whether all is well."""
    columns = [sorted(runs, key=_seconds) for runs in zip(*rounds, strict=True)]
    medians = [runs[len(runs) // 2] for runs in columns]
    peer, *_, second = medians
    print(
        f"\n{'':18} {'seconds':>7} {'from – to':>15} {'ratio':>6} {'CPU s':>6} {'load':>5}"
        f" {'server s':>8} {'metric calls':>12} {'ratio':>6} {'metrics asked':>13}"
    )
    for run, runs in zip(medians, columns, strict=True):
        span = f"{_seconds(runs[0]):6.2f} – {_seconds(runs[-1]):6.2f}"
        print(
            f"{run.name:18} {_seconds(run):7.2f} {span} {_time_share(run, peer):6.3f}"
            f" {run.clock.cpu_s:6.2f} {run.clock.load:5.1f}"
            f" {run.counts.served_s:8.2f} {run.counts.metric_calls:12,}"
            f" {_call_share(run, peer):6.3f} {run.counts.metrics_asked:13,}"
        )
    for run in medians:
        _tell(run)
    wrong = [mistake for runs in rounds for run in runs for mistake in run.mistakes]
    print(f"{len(wrong):,} machines wrong in {len(rounds)} rounds")
    for mistake in wrong[:SHOWN]:
        print(f"  {mistake}")
    return (
        _within("time", _time_share(second, peer), TIME_SHARE)
        & _within("metric calls", _call_share(second, peer), METRIC_CALL_SHARE)
        & (not wrong)
    )


def _seconds(run: Measured) -> float:
    return run.clock.seconds


def _time_share(run: Measured, peer: Measured) -> float:
    return run.clock.seconds / peer.clock.seconds


def _call_share(run: Measured, peer: Measured) -> float:
    return run.counts.metric_calls / peer.counts.metric_calls


def _tell(run: Measured) -> None:
    calls = ", ".join(f"{name} {n:,}" for name, n in sorted(run.counts.calls.items()))
    print(f"{run.name}: {calls}")
    for gap in run.gaps:
        print(f"  {gap}")


def _within(what: str, share: float, limit: float) -> bool:
    verdict = "within" if share <= limit else "MISSES"
    print(f"{what}: {share:.3f} of Custodian's; {verdict} the limit of {limit}")
    return share <= limit


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--machines", type=int, default=1_000)
    options.add_argument("--latency-ms", type=float, default=50.0)
    options.add_argument("--rounds", type=int, default=3)
    given = options.parse_args()
    rounds = measured(given.machines, given.latency_ms / 1000, given.rounds)
    return 0 if show(rounds) else 1


if __name__ == "__main__":
    sys.exit(main())
