"""The names that a policy's conditions may use: flat, dotted, typed and documented."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from policies.facts import MachineState, Purchase, WorkloadKind
from policies.verdicts import Phase, Verdict

SATURDAY = 6


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
    unknown: str
    """When it has no value, for people."""
    values: tuple[str, ...] = ()
    """All values it can have; empty where they cannot be listed."""


ALWAYS = "always known"
NO_WORKLOAD = "nothing says which workload the machine serves"
NOT_MEASURED = "the machine is not measured"
NOT_QUIET = "the machine is not quiet, or nothing tells how long pauses last"
NO_PRICE = "nobody could price the machine"
UNPRICED = "nothing was metered yet, or a part of it has no price"
NO_RUNS = "no run of the workload is known"
NOT_EXPLORATORY = "the work is not known to be exploratory"


def _number(name: str, unit: str, meaning: str, example: float, unknown: str = ALWAYS) -> Name:
    return Name(name, NameType.NUMBER, unit, meaning, example, unknown)


def _text(name: str, meaning: str, example: str, unknown: str = ALWAYS) -> Name:
    return Name(name, NameType.TEXT, None, meaning, example, unknown)


def _truth(name: str, meaning: str, unknown: str = ALWAYS) -> Name:
    return Name(name, NameType.TRUTH, None, meaning, example=True, unknown=unknown)


def _one_of(name: str, meaning: str, values: type[StrEnum], unknown: str = ALWAYS) -> Name:
    listed = tuple(value.value for value in values)
    return Name(name, NameType.TEXT, None, meaning, listed[0], unknown, listed)


NAMES: tuple[Name, ...] = (
    _text("workload.name", "the workload it belongs to", "llama-pretrain", NO_WORKLOAD),
    _truth("workload.attributed", "whether the machine could be attributed to a workload"),
    _one_of("workload.verdict", "how mature the work is; `unknown` is a verdict, too", Verdict),
    _one_of("workload.kind", "what kind of work it is; `unknown` is a kind, too", WorkloadKind),
    _number("workload.score", "0 to 1", "probability that its next run completes", 0.5, NO_RUNS),
    _number("workload.runs", "runs", "ended runs that are known of the workload", 12.0),
    _text("workload.owner", "who owns the workload", "alice", "nobody says whose it is"),
    _text(
        "workload.group",
        "the project or team that workloads share",
        "nlp",
        "nobody says to which it belongs",
    ),
    _text(
        "workload.data_class",
        "how the workload's data is classified",
        "internal",
        "neither tag nor mapping file says so",
    ),
    _number(
        "confusion.findings",
        "findings",
        "what exploratory work does again without learning, as long as it goes on; 0: nothing",
        2.0,
        NOT_EXPLORATORY,
    ),
    _number(
        "confusion.usd",
        "USD",
        "what the repeats in these findings cost",
        12.5,
        f"{NOT_EXPLORATORY}, or one of them has no price",
    ),
    _one_of("phase", "what the machine's time is spent on now", Phase),
    _number("idle.minutes", "minutes", "time without activity, 0 while active", 42.0, NOT_MEASURED),
    _number("idle.confidence", "0 to 1", "how sure the phase is", 0.95),
    _number("idle.coverage", "0 to 1", "share of that time that was measured", 1.0),
    _number(
        "patience.minutes",
        "minutes",
        "time without activity from which stopping is expected to be cheaper than waiting",
        25.0,
        NOT_QUIET,
    ),
    _number(
        "patience.left_minutes",
        "minutes",
        "what is left of it; negative when it is over",
        -5.0,
        NOT_QUIET,
    ),
    _truth(
        "patience.exhausted",
        "whether it is over: waiting is expected to cost more than a restart",
        NOT_QUIET,
    ),
    _number(
        "patience.waste_usd",
        "USD",
        "what waiting on is expected to cost",
        3.1,
        f"{NOT_QUIET}, or {NO_PRICE}",
    ),
    _number(
        "patience.restart_usd",
        "USD",
        "what a restart counts for",
        1.2,
        f"{NOT_QUIET}, or {NO_PRICE}",
    ),
    _text("machine.id", "its id", "aws:123456789012:us-east-1:i-0abc"),
    _text("machine.provider", "the cloud, or local", "aws"),
    _text("machine.account", "account, project or subscription", "123456789012"),
    _text("machine.region", "region", "us-east-1"),
    _text("machine.name", "the machine's name", "trainer-1", "it has none"),
    _text("machine.type", "machine type, as the cloud calls it", "p5.48xlarge"),
    _one_of(
        "machine.state", "state of the machine", MachineState, "the cloud tells one that is new"
    ),
    _number("machine.gpus", "GPUs", "accelerators on the machine", 8.0, "its type is not known"),
    _text("machine.gpu_model", "model of its accelerators", "H100", "its type is not known"),
    _one_of("machine.purchase", "how its time was bought", Purchase, "the cloud does not tell"),
    _number("machine.hourly_usd", "USD per hour", "price of the machine", 55.04, NO_PRICE),
    _number(
        "machine.boot_hours", "hours", "time since its last start", 6.5, "the cloud does not tell"
    ),
    _number("group.size", "machines", "running machines of its group, itself included", 4.0),
    _number("group.active", "machines", "others of its group that are at work", 0.0),
    _number("group.unmeasured", "machines", "others of its group that nobody measured", 0.0),
    _number(
        "cost.idle_usd",
        "USD",
        "cost of the current pause so far",
        38.5,
        f"{NO_PRICE}, or {NOT_MEASURED}",
    ),
    _number("cost.day_usd", "USD", "cost of the workload in the last 24 hours", 410.0, UNPRICED),
    _number("cost.week_usd", "USD", "cost of the workload in the last 7 days", 1900.0, UNPRICED),
    _number(
        "cost.owner_day_usd",
        "USD",
        "cost of all that its owner owns in the last 24 hours",
        600.0,
        f"no owner is known; {UNPRICED}",
    ),
    _number(
        "cost.owner_week_usd",
        "USD",
        "cost of all that its owner owns in the last 7 days",
        2400.0,
        f"no owner is known; {UNPRICED}",
    ),
    _number("cost.fleet_day_usd", "USD", "cost of everything in the last 24 hours", 3e3, UNPRICED),
    _number("cost.fleet_week_usd", "USD", "cost of everything in the last 7 days", 2e4, UNPRICED),
    Name(
        "tags",
        NameType.TAGS,
        None,
        'the machine\'s tags, as in tags["team"]; ask `"team" in tags` first,'
        " since a tag that is not set has no value",
        example={},
        unknown="always known; a tag that is not set has no value",
    ),
    _number("schedule.hour", "0 to 23", "hour of the day in the policy's `time_zone`", 14.0),
    _number("schedule.weekday", "1 to 7", "day of the week there; Monday is 1", 3.0),
    _truth("schedule.weekend", "whether it is Saturday or Sunday there"),
    _text("schedule.date", "the date there", "2026-11-23"),
    _number("time.hour", "0 to 23", "hour of the day, UTC", 14.0),
    _number("time.weekday", "1 to 7", "day of the week, UTC; Monday is 1", 3.0),
)
"""Every name there is, in the order of the documentation."""

BY_NAME: Mapping[str, Name] = {each.name: each for each in NAMES}


def schedule_names(now: datetime, time_zone: str) -> dict[str, object]:
    """What the clock on the wall says there; when clocks change, it does, too."""
    local = now.astimezone(ZoneInfo(time_zone))
    return {
        "schedule.hour": float(local.hour),
        "schedule.weekday": float(local.isoweekday()),
        "schedule.weekend": local.isoweekday() >= SATURDAY,
        "schedule.date": local.date().isoformat(),
        "time.hour": float(now.hour),
        "time.weekday": float(now.isoweekday()),
    }
