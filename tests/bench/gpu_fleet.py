"""A fleet of GPU machines whose phases and workloads are known beforehand.

Every mix repeats with its own period, so that each kind of machine meets each kind of use in each
region. Of a machine with several GPUs only the last one works, or holds memory: whoever takes a
mean over GPUs is wrong about it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from policies.verdicts import Phase

REGIONS = ("us-east-1", "us-west-2")
TYPES = (*["g5.xlarge"] * 8, "g5.12xlarge", "g5.48xlarge")
"""Of ten machines; two GPUs a machine on average."""
GPUS = {"g5.xlarge": 1, "g5.12xlarge": 4, "g5.48xlarge": 8}
USES = (Phase.ACTIVE, Phase.IDLE, Phase.PARKED)
WORKLOADS = 23
TOTAL_MIB = 24_576.0

Metric = tuple[str, str, Mapping[str, str]]
"""Namespace, name and dimensions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetMachine:
    number: int
    region: str
    machine_type: str
    phase: Phase
    tags: Mapping[str, str]
    workload: str
    """What the tags must lead to."""

    @property
    def gpus(self) -> int:
        return GPUS[self.machine_type]


def fleet(machines: int) -> list[FleetMachine]:
    return [_machine(number) for number in range(machines)]


def _machine(number: int) -> FleetMachine:
    workload = f"project-{number % WORKLOADS:02}"
    is_tagged = number % 7 < 3
    name = f"gpu-box-{number}" if is_tagged else f"{workload}-{number}"
    tags = {"Name": name, "spend-watchdog:workload": workload} if is_tagged else {"Name": name}
    return FleetMachine(
        number=number,
        region=REGIONS[number // len(TYPES) % len(REGIONS)],
        machine_type=TYPES[number % len(TYPES)],
        phase=USES[number % len(USES)],
        tags=tags,
        workload=workload,
    )


def metrics(machine: FleetMachine, instance: str) -> Iterator[tuple[Metric, float]]:
    """What CloudWatch tells of the machine in each interval of five minutes."""
    busy = machine.phase is Phase.ACTIVE
    host = {
        "CPUUtilization": 31.0 if busy else 0.8,
        "NetworkIn": 9_000_000.0 if busy else 400_000.0,
        "NetworkOut": 6_000_000.0 if busy else 300_000.0,
    }
    for name, value in host.items():
        yield ("AWS/EC2", name, {"InstanceId": instance}), value
    for gpu in range(machine.gpus):
        used = gpu == machine.gpus - 1 and machine.phase is not Phase.IDLE
        told = {
            "nvidia_smi_utilization_gpu": 55.0 + machine.number % 40 if used and busy else 0.0,
            "nvidia_smi_memory_used": 18_200.0 if used else 4.0,
            "nvidia_smi_memory_total": TOTAL_MIB,
            "nvidia_smi_power_draw": 214.0 if used and busy else 27.0,
        }
        for name, value in told.items():
            yield ("CWAgent", name, {"InstanceId": instance, "index": str(gpu)}), value
