"""The names that a policy's conditions may use: flat, dotted, typed and documented."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from policies.facts import MachineState, Purchase, WorkloadKind
from policies.verdicts import Phase, Verdict


class NameType(StrEnum):
    """Types as CEL calls them. Every number is a double, so that `30` and `30.5` both compare."""

    NUMBER = "double"
    TEXT = "string"
    TRUTH = "bool"
    TAGS = "map(string, string)"


@dataclass(frozen=True, slots=True)
class Name:
    """One name. A name without a value for a machine is left out, never zero or empty."""

    name: str
    type: NameType
    unit: str | None
    """None where the value is not a quantity."""
    meaning: str
    example: object
    """A value of its type: conditions are tried on the examples when a policy is loaded."""
    values: tuple[str, ...] = ()
    """All values it can have; empty where they cannot be listed."""


def _number(name: str, unit: str, meaning: str, example: float) -> Name:
    return Name(name, NameType.NUMBER, unit, meaning, example)


def _text(name: str, meaning: str, example: str) -> Name:
    return Name(name, NameType.TEXT, None, meaning, example)


def _one_of(name: str, meaning: str, values: type[StrEnum]) -> Name:
    listed = tuple(value.value for value in values)
    return Name(name, NameType.TEXT, None, meaning, listed[0], listed)


NAMES: tuple[Name, ...] = (
    _text("workload.name", "the workload that the machine belongs to", "llama-pretrain"),
    Name(
        "workload.attributed",
        NameType.TRUTH,
        None,
        "whether the machine could be attributed to a workload",
        example=True,
    ),
    _one_of("workload.verdict", "how mature the work is", Verdict),
    _one_of("workload.kind", "what kind of work it is", WorkloadKind),
    _number("workload.score", "0 to 1", "probability that its next run completes", 0.5),
    _number("workload.runs", "runs", "ended runs that are known of the workload", 12.0),
    _text("workload.owner", "who owns the workload", "alice"),
    _text("workload.group", "the project or team that workloads share", "nlp"),
    _text("workload.data_class", "how the workload's data is classified", "internal"),
    _one_of("phase", "what the machine's time is spent on now", Phase),
    _number("idle.minutes", "minutes", "time without activity, 0 while active", 42.0),
    _number("idle.confidence", "0 to 1", "how sure the phase is", 0.95),
    _number("idle.coverage", "0 to 1", "share of that time that was measured", 1.0),
    _number(
        "patience.minutes",
        "minutes",
        "time without activity from which stopping is expected to be cheaper than waiting",
        25.0,
    ),
    _number(
        "patience.left_minutes", "minutes", "what is left of it; negative when it is over", -5.0
    ),
    Name(
        "patience.exhausted",
        NameType.TRUTH,
        None,
        "whether it is over: waiting is expected to cost more than a restart",
        example=True,
    ),
    _number("patience.waste_usd", "USD", "what waiting on is expected to cost", 3.1),
    _number("patience.restart_usd", "USD", "what a restart counts for", 1.2),
    _text("machine.provider", "the cloud, or local", "aws"),
    _text("machine.account", "account, project or subscription", "123456789012"),
    _text("machine.region", "region", "us-east-1"),
    _text("machine.name", "the machine's name", "trainer-1"),
    _text("machine.type", "machine type, as the cloud calls it", "p5.48xlarge"),
    _one_of("machine.state", "state of the machine", MachineState),
    _number("machine.gpus", "GPUs", "accelerators on the machine", 8.0),
    _text("machine.gpu_model", "model of its accelerators", "H100"),
    _one_of("machine.purchase", "how its time was bought", Purchase),
    _number("machine.hourly_usd", "USD per hour", "price of the machine", 55.04),
    _number("machine.boot_hours", "hours", "time since its last start", 6.5),
    _number("group.size", "machines", "running machines of its group, itself included", 4.0),
    _number("group.active", "machines", "others of its group that are at work", 0.0),
    _number("group.unmeasured", "machines", "others of its group that nobody measured", 0.0),
    _number("cost.idle_usd", "USD", "cost of the current pause so far", 38.5),
    _number("cost.day_usd", "USD", "cost of the workload in the last 24 hours", 410.0),
    _number("cost.week_usd", "USD", "cost of the workload in the last 7 days", 1900.0),
    Name(
        "tags",
        NameType.TAGS,
        None,
        'the machine\'s tags, as in tags["team"]; ask `"team" in tags` first,'
        " since a tag that is not set has no value",
        example={},
    ),
    _number("time.hour", "0 to 23", "hour of the day, UTC", 14.0),
    _number("time.weekday", "1 to 7", "day of the week, UTC; Monday is 1", 3.0),
)
"""Every name there is, in the order of the documentation."""

BY_NAME: Mapping[str, Name] = {each.name: each for each in NAMES}
