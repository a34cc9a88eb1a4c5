"""The shape of a policy file: its keys, and what to say where they are wrong."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from difflib import get_close_matches
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from policies.names import NAMES
from policies.policy_types import (
    Action,
    ConditionText,
    Count,
    Deadline,
    Dollars,
    Duration,
    Escalation,
    Glob,
    Mode,
    RestartCost,
    SetupLimit,
    Share,
    Text,
    TimeZone,
    shown,
)
from policies.verdicts import Wanted

SCHEMA = "spend-watchdog/policy/1"


class _Entries(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RuleEntry(_Entries):
    name: Text = Field(description="what people call the rule; no two rules share it")
    when: ConditionText = Field(description="the condition, in CEL; true or false")
    because: Text = Field(description="one sentence that tells people why")
    then: Action = Field(description="how far the ladder goes")
    grace: Duration = Field(
        default=timedelta(minutes=30),
        description="from the delivered warning to the stop",
        json_schema_extra={"default": "30m"},
    )


class GpuClassEntry(_Entries):
    """What holds for one kind of GPU; what is not said is as for all others."""

    min_idle: Duration | None = Field(
        default=None, description="nothing is warned or stopped that was quiet for less"
    )
    max_idle: Duration | None = Field(
        default=None, description="what was quiet for longer is at least notified"
    )
    grace: Duration | None = Field(
        default=None, description="from the delivered warning to the stop, for every rule"
    )
    stops_per_patrol: Count | None = Field(
        default=None, description="most of them that one patrol stops"
    )


class ExemptionEntry(_Entries):
    """Machines that are left alone for a while. All that is said must fit; `*` stands for any."""

    machine: Glob | None = Field(default=None, description="name, native id or id")
    workload: Glob | None = Field(default=None, description="the workload's name")
    owner: Glob | None = Field(default=None, description="who owns the workload")
    tag: Glob | None = Field(default=None, description="`key`, or `key=value`")
    until: Deadline = Field(
        description="when it ends: a date (its last minute counts) or an RFC 3339 time"
    )
    because: Text = Field(description="one sentence that tells people why")


class BudgetEntry(_Entries):
    """What exploratory work may cost in seven days."""

    name: Text = Field(description="what people call it; no two budgets share it")
    workload: Text | None = Field(default=None, description="of this workload only")
    owner: Text | None = Field(default=None, description="of this owner's workloads only")
    usd_per_week: Dollars = Field(description="most dollars in seven days")
    then: Escalation = Field(
        default=Wanted.NOTIFY,
        description="above it, what a rule wants to tell people of goes at least so far",
        json_schema_extra={"default": "notify"},
    )
    grace: Duration = Field(
        default=timedelta(minutes=30),
        description="from the delivered warning to the stop, where it is the budget that stops",
        json_schema_extra={"default": "30m"},
    )


class LimitsEntry(_Entries):
    stops_per_patrol: Count = Field(default=10, description="most stops in one patrol")
    stop_share: Share = Field(
        default=0.5, description="largest share of the machines that one patrol may stop"
    )
    stop_usd_per_hour: Dollars = Field(
        default=Decimal(200),
        description="most dollars an hour that one patrol may stop",
        json_schema_extra={"default": 200},
    )
    regret_rate: Share = Field(
        default=0.2,
        description="share of stops undone within two hours above which, beyond chance,"
        " patrols only observe",
    )
    gpu_classes: dict[str, GpuClassEntry] = Field(
        default_factory=dict,
        description="by GPU model (`H100`, `A100*`), what differs for machines with it",
    )


class PolicyEntry(_Entries):
    """A policy of the cloud spend watchdog: who is left alone, told, warned or stopped."""

    schema_: Literal["spend-watchdog/policy/1"] = Field(
        alias="schema", description="which version of this format the file is written in"
    )
    mode: Mode = Field(
        default="observe", description="act is needed, and the option --act, to stop anything"
    )
    restart_cost: RestartCost = Field(
        default=timedelta(minutes=15),
        description="price of a restart: time at the machine's own price, or dollars",
        json_schema_extra={"default": "15m"},
    )
    time_zone: TimeZone = Field(
        default="UTC", description="what `schedule.` names and dates are told in: Europe/Berlin"
    )
    setup_limit: SetupLimit = Field(
        default=timedelta(hours=2),
        description="how long after a boot the time before the first activity is set-up, up to 3h",
        json_schema_extra={"default": "2h"},
    )
    forgotten_after: Duration = Field(
        default=timedelta(days=7),
        description="people are told, weekly, of what was stopped longer ago and still costs",
        json_schema_extra={"default": "7d"},
    )
    limits: LimitsEntry = Field(
        default_factory=LimitsEntry, description="the most that one patrol may do"
    )
    exemptions: list[ExemptionEntry] = Field(
        default_factory=list, description="who is left alone, until when, and why"
    )
    budgets: list[BudgetEntry] = Field(
        default_factory=list, description="what exploratory work may cost in seven days"
    )
    rules: list[RuleEntry] = Field(
        min_length=1, description="at least one rule; the first whose condition holds decides"
    )


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong in the data of a policy file."""

    path: tuple[str | int, ...]
    message: str
    on_key: bool = False
    """The key is wrong, not its value."""
    offset: int | None = None
    """Where in the text of the value, in characters; None where all of it is meant."""


def entries_of(data: object) -> tuple[PolicyEntry | None, tuple[Mistake, ...]]:
    """The entries, or all that is wrong with them."""
    if data is None:
        return None, (Mistake((), f"it is empty; begin with `schema: {SCHEMA}`"),)
    if not isinstance(data, Mapping):
        wrong = f"a policy is a mapping that begins with `schema: {SCHEMA}`, not {shown(data)}"
        return None, (Mistake((), wrong),)
    if mistake := _schema_mistake(data):
        return None, (mistake,)
    try:
        entries = PolicyEntry.model_validate(data)
    except ValidationError as error:
        return None, tuple(_mistake(each) for each in error.errors(include_url=False))
    found = (
        *_repeated_names("rules", [rule.name for rule in entries.rules]),
        *_repeated_names("budgets", [budget.name for budget in entries.budgets]),
        *_of_nobody(entries.exemptions),
        *_of_both(entries.budgets),
        *_never_idle(entries.limits.gpu_classes),
    )
    return entries, found


def _schema_mistake(data: Mapping[str, object]) -> Mistake | None:
    """Only this is told where it is wrong: other keys may have changed with the version."""
    if "schema" not in data:
        return Mistake((), f"`schema` is missing; begin with `schema: {SCHEMA}`")
    if data["schema"] != SCHEMA:
        written = shown(data["schema"])
        return Mistake(("schema",), f"`schema` is {written}; this version reads {SCHEMA}")
    return None


def _repeated_names(several: str, given: Sequence[str]) -> Iterator[Mistake]:
    names: dict[str, int] = {}
    for index, name in enumerate(given):
        first = names.setdefault(name, index)
        if first != index:
            whose = f"{_ONE[several]} {first + 1}"
            message = f"`name` {name} is already that of {whose}; names differ"
            yield Mistake((several, index, "name"), message)


def _of_nobody(exemptions: Sequence[ExemptionEntry]) -> Iterator[Mistake]:
    for index, each in enumerate(exemptions):
        if each.machine is each.workload is each.owner is each.tag is None:
            message = "an exemption must say whose: machine, workload, owner or tag"
            yield Mistake(("exemptions", index), message)


def _of_both(budgets: Sequence[BudgetEntry]) -> Iterator[Mistake]:
    for index, each in enumerate(budgets):
        if each.workload is not None and each.owner is not None:
            message = "`owner`: a budget is of a workload, of an owner, or of all; not of two"
            yield Mistake(("budgets", index, "owner"), message, on_key=True)


def _never_idle(classes: Mapping[str, GpuClassEntry]) -> Iterator[Mistake]:
    for name, each in classes.items():
        least, most = each.min_idle, each.max_idle
        if least is not None and most is not None and least > most:
            path = ("limits", "gpu_classes", name, "min_idle")
            yield Mistake(path, "`min_idle` must not be longer than max_idle")


def _mistake(error: ErrorDetails) -> Mistake:
    path = error["loc"]
    key = path[-1]
    called = f"{_ONE[str(path[-2])]} {key + 1}" if isinstance(key, int) else f"`{key}`"
    match error["type"]:
        case "policy":
            return Mistake(path, f"{called} {error['ctx']['message']}")
        case "condition":
            context = error["ctx"]
            return Mistake(path, f"{called}: {context['message']}", offset=context["offset"])
        case "missing":
            return Mistake(path, f"{called} is missing: {_fields_at(path)[str(key)]}")
        case "extra_forbidden":
            return Mistake(path, _unknown_key(str(key), tuple(_fields_at(path))), on_key=True)
        case "too_short":
            return Mistake(path, f"{called} is empty; a policy needs at least one rule")
        case _:
            shape = "a list" if key in _ONE else "a mapping"
            return Mistake(path, f"{called} must be {shape}, not {shown(error['input'])}")


_ONE = {"rules": "rule", "exemptions": "exemption", "budgets": "budget"}
"""What one entry of each list is called."""


def _fields_at(path: tuple[str | int, ...]) -> dict[str, str]:
    """The keys that can stand beside the last of the path, and what they mean."""
    models: dict[str | int, type[BaseModel]] = {
        "rules": RuleEntry,
        "limits": LimitsEntry,
        "exemptions": ExemptionEntry,
        "budgets": BudgetEntry,
    }
    model = models[path[0]] if len(path) > 1 else PolicyEntry
    if path[:2] == ("limits", "gpu_classes") and len(path) > len(("limits", "gpu_classes", "H100")):
        model = GpuClassEntry
    fields = model.model_fields.items()
    return {field.alias or name: field.description or "" for name, field in fields}


def _unknown_key(key: str, known: tuple[str, ...]) -> str:
    close = get_close_matches(key, known, n=1)
    meant = f"did you mean `{close[0]}`?" if close else f"there are {', '.join(known)}"
    return f"unknown key `{key}`; {meant}"


def json_schema() -> dict[str, Any]:
    """JSON Schema of the policy file, for editors; the names of conditions stand in it."""
    schema = PolicyEntry.model_json_schema(by_alias=True)
    names = ", ".join(each.name for each in NAMES)
    condition = schema["$defs"]["RuleEntry"]["properties"]["when"]
    condition["description"] += f". Names: {names}"
    condition["examples"] = ['workload.verdict == "exploratory" && idle.minutes >= 30']
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": SCHEMA,
    }
