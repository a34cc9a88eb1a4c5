"""The shape of a policy file: its keys, their values, and what to say where they are wrong."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from difflib import get_close_matches
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError, WithJsonSchema
from pydantic_core import ErrorDetails, PydanticCustomError

from policies.condition_errors import ConditionError
from policies.conditions import checked
from policies.durations import PATTERN as DURATION
from policies.durations import parse_duration
from policies.verdicts import Wanted

SCHEMA = "spend-watchdog/policy/1"
LADDER = (Wanted.LEAVE, Wanted.NOTIFY, Wanted.WARN, Wanted.STOP)
"""How far a rule can go, from softest to hardest."""

_ACTIONS = [wanted.value for wanted in LADDER]
_MODES = ["observe", "act"]
_DOLLARS = r"([0-9]{1,9}(?:\.[0-9]{1,9})?) USD"


def _wrong(message: str) -> PydanticCustomError:
    # the message is an argument, since braces in it are no places to fill
    return PydanticCustomError("policy", "{message}", {"message": message})


def _shown(value: object) -> str:
    """A value as it could stand in the file, kept short."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "nothing"
    text = {True: "true", False: "false"}.get(value) if isinstance(value, bool) else None
    return (text or str(value))[:60]


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _wrong(f"must be text, not {_shown(value)}; put text in quotes")
    words = " ".join(value.split())
    if not words:
        raise _wrong("must not be empty")
    return words


def _condition(value: object) -> str:
    text = _shown(value) if isinstance(value, bool) else value
    if not isinstance(text, str):
        raise _wrong(f"must be a condition as text, not {_shown(value)}")
    try:
        return checked(text).text
    except ConditionError as error:
        context = {"message": str(error), "offset": error.offset}
        raise PydanticCustomError("condition", "{message}", context) from error


def _duration(value: object) -> timedelta:
    try:
        return parse_duration(_shown(value))
    except ValueError as error:
        raise _wrong(str(error)) from error


def _restart_cost(value: object) -> timedelta | Decimal:
    dollars = re.fullmatch(_DOLLARS, value) if isinstance(value, str) else None
    if dollars:
        return Decimal(dollars.group(1))
    if isinstance(value, str) and re.fullmatch(DURATION, value):
        return _duration(value)
    if str(value).startswith("-"):
        raise _wrong(f"must not be negative, as {_shown(value)} is")
    raise _wrong(f'must be a duration such as 15m, or dollars such as "4 USD", not {_shown(value)}')


def _number(value: object, most: int | None = None) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(f"must be a number, not {_shown(value)}")
    number = Decimal(str(value))
    upper = "" if most is None else f" to {most}"
    if not number.is_finite() or number < 0 or (most is not None and number > most):
        raise _wrong(f"must be a number from 0{upper}, not {_shown(value)}")
    return number


def _share(value: object) -> float:
    return float(_number(value, most=1))


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _wrong(f"must be a whole number from 0, not {_shown(value)}")
    return value


def _action(value: object) -> Wanted:
    return Wanted(_chosen(value, _ACTIONS))


def _mode(value: object) -> Literal["observe", "act"]:
    return "act" if _chosen(value, _MODES) == "act" else "observe"


def _chosen(value: object, allowed: Sequence[str]) -> str:
    if isinstance(value, str) and value in allowed:
        return value
    close = get_close_matches(str(value), allowed, n=1)
    meant = f"; did you mean {close[0]}?" if close else ""
    raise _wrong(f"must be one of {', '.join(allowed)}, not {_shown(value)}{meant}")


Text: TypeAlias = Annotated[
    str, PlainValidator(_text), WithJsonSchema({"type": "string", "minLength": 1})
]
ConditionText: TypeAlias = Annotated[
    str,
    PlainValidator(_condition),
    WithJsonSchema({"anyOf": [{"type": "string", "minLength": 1}, {"type": "boolean"}]}),
]
Duration: TypeAlias = Annotated[
    timedelta,
    PlainValidator(_duration),
    WithJsonSchema({"type": "string", "pattern": f"^{DURATION}$"}),
]
RestartCost: TypeAlias = Annotated[
    timedelta | Decimal,
    PlainValidator(_restart_cost),
    WithJsonSchema({"type": "string", "pattern": f"^({DURATION}|{_DOLLARS})$"}),
]
Share: TypeAlias = Annotated[
    float,
    PlainValidator(_share),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1}),
]
Count: TypeAlias = Annotated[
    int, PlainValidator(_count), WithJsonSchema({"type": "integer", "minimum": 0})
]
Dollars: TypeAlias = Annotated[
    Decimal, PlainValidator(_number), WithJsonSchema({"type": "number", "minimum": 0})
]
Action: TypeAlias = Annotated[Wanted, PlainValidator(_action), WithJsonSchema({"enum": _ACTIONS})]
Mode: TypeAlias = Annotated[
    Literal["observe", "act"], PlainValidator(_mode), WithJsonSchema({"enum": _MODES})
]


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
    limits: LimitsEntry = Field(
        default_factory=LimitsEntry, description="the most that one patrol may do"
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
        wrong = f"a policy is a mapping that begins with `schema: {SCHEMA}`, not {_shown(data)}"
        return None, (Mistake((), wrong),)
    if mistake := _schema_mistake(data):
        return None, (mistake,)
    try:
        entries = PolicyEntry.model_validate(data)
    except ValidationError as error:
        return None, tuple(_mistake(each) for each in error.errors(include_url=False))
    return entries, tuple(_repeated_names(entries))


def _schema_mistake(data: Mapping[str, object]) -> Mistake | None:
    """Only this is told where it is wrong: other keys may have changed with the version."""
    if "schema" not in data:
        return Mistake((), f"`schema` is missing; begin with `schema: {SCHEMA}`")
    if data["schema"] != SCHEMA:
        shown = _shown(data["schema"])
        return Mistake(("schema",), f"`schema` is {shown}; this version reads {SCHEMA}")
    return None


def _repeated_names(entries: PolicyEntry) -> Iterator[Mistake]:
    names: dict[str, int] = {}
    for index, rule in enumerate(entries.rules):
        first = names.setdefault(rule.name, index)
        if first != index:
            message = f"`name` {rule.name} is already that of rule {first + 1}; names differ"
            yield Mistake(("rules", index, "name"), message)


def _mistake(error: ErrorDetails) -> Mistake:
    path = error["loc"]
    key = path[-1]
    called = f"rule {key + 1}" if isinstance(key, int) else f"`{key}`"
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
            shape = "a list" if key == "rules" else "a mapping"
            return Mistake(path, f"{called} must be {shape}, not {_shown(error['input'])}")


def _fields_at(path: tuple[str | int, ...]) -> dict[str, str]:
    """The keys that can stand beside the last of the path, and what they mean."""
    models: dict[str | int, type[BaseModel]] = {"rules": RuleEntry, "limits": LimitsEntry}
    model = models[path[0]] if len(path) > 1 else PolicyEntry
    fields = model.model_fields.items()
    return {field.alias or name: field.description or "" for name, field in fields}


def _unknown_key(key: str, known: tuple[str, ...]) -> str:
    close = get_close_matches(key, known, n=1)
    meant = f"did you mean `{close[0]}`?" if close else f"there are {', '.join(known)}"
    return f"unknown key `{key}`; {meant}"


def json_schema() -> dict[str, Any]:
    """JSON Schema of the policy file, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **PolicyEntry.model_json_schema(by_alias=True),
        "title": SCHEMA,
    }
