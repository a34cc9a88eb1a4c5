"""The values of a policy file, and what to say where they are wrong."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from difflib import get_close_matches
from functools import cache
from typing import Annotated, Literal, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from policies.condition_errors import ConditionError
from policies.conditions import checked
from policies.durations import PATTERN as DURATION
from policies.durations import parse_duration
from policies.verdicts import Wanted

LADDER = (Wanted.LEAVE, Wanted.NOTIFY, Wanted.WARN, Wanted.STOP)
"""How far a rule can go, from softest to hardest."""

_ACTIONS = [wanted.value for wanted in LADDER]
_MODES = ["observe", "act"]
_DATE = r"\d{4}-\d{2}-\d{2}"
_NO_DEADLINE = "must be a date such as 2026-12-20, or a time such as 2026-12-20T18:00:00Z, not {}"
LONGEST_SETUP = timedelta(hours=3)
_DOLLARS = r"([0-9]{1,9}(?:\.[0-9]{1,9})?) USD"


def wrong(message: str) -> PydanticCustomError:
    # the message is an argument, since braces in it are no places to fill
    return PydanticCustomError("policy", "{message}", {"message": message})


def shown(value: object) -> str:
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
        raise wrong(f"must be text, not {shown(value)}; put text in quotes")
    words = " ".join(value.split())
    if not words:
        raise wrong("must not be empty")
    return words


def _condition(value: object) -> str:
    text = shown(value) if isinstance(value, bool) else value
    if not isinstance(text, str):
        raise wrong(f"must be a condition as text, not {shown(value)}")
    try:
        return checked(text).text
    except ConditionError as error:
        context = {"message": str(error), "offset": error.offset}
        raise PydanticCustomError("condition", "{message}", context) from error


def _duration(value: object) -> timedelta:
    try:
        return parse_duration(shown(value))
    except ValueError as error:
        raise wrong(str(error)) from error


def _restart_cost(value: object) -> timedelta | Decimal:
    dollars = re.fullmatch(_DOLLARS, value) if isinstance(value, str) else None
    if dollars:
        return Decimal(dollars.group(1))
    if isinstance(value, str) and re.fullmatch(DURATION, value):
        return _duration(value)
    if str(value).startswith("-"):
        raise wrong(f"must not be negative, as {shown(value)} is")
    raise wrong(f'must be a duration such as 15m, or dollars such as "4 USD", not {shown(value)}')


def _limited(value: object) -> timedelta:
    """At most what each patrol reads again: set-up that is older is not looked at any more."""
    found = _duration(value)
    if found > LONGEST_SETUP:
        hours = LONGEST_SETUP // timedelta(hours=1)
        raise wrong(f"must be at most {hours}h, not {shown(value)}")
    return found


def _time_zone(value: object) -> str:
    if isinstance(value, str) and _is_time_zone(value):
        return value
    close = get_close_matches(str(value), sorted(available_timezones()), n=1)
    meant = f"; did you mean {close[0]}?" if close else ""
    raise wrong(f"must be a time zone such as Europe/Berlin or UTC, not {shown(value)}{meant}")


@cache
def _is_time_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (OSError, ValueError, ZoneInfoNotFoundError):
        return False
    return True


def _deadline(value: object) -> date | datetime:
    """A date means its end, in the policy's time zone."""
    text = value if isinstance(value, str) else ""
    if re.fullmatch(_DATE, text):
        try:
            return date.fromisoformat(text)
        except ValueError as error:
            raise wrong(f"must be a date that exists, not {text}") from error
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise wrong(_NO_DEADLINE.format(shown(value))) from error
    if at.tzinfo is None:
        raise wrong(f"must say its time zone, as {text}Z does")
    return at.astimezone(UTC)


def end_of(until: date | datetime, zone: str) -> datetime:
    """The moment, in UTC, at which it is over."""
    if isinstance(until, datetime):
        return until
    midnight = datetime.combine(until + timedelta(days=1), time(), tzinfo=ZoneInfo(zone))
    return midnight.astimezone(UTC)


def _glob(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return _text(value)


def _number(value: object, most: int | None = None) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong(f"must be a number, not {shown(value)}")
    number = Decimal(str(value))
    upper = "" if most is None else f" to {most}"
    if not number.is_finite() or number < 0 or (most is not None and number > most):
        raise wrong(f"must be a number from 0{upper}, not {shown(value)}")
    return number


def _share(value: object) -> float:
    return float(_number(value, most=1))


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise wrong(f"must be a whole number from 0, not {shown(value)}")
    return value


def _action(value: object) -> Wanted:
    return Wanted(_chosen(value, _ACTIONS))


def _escalation(value: object) -> Wanted:
    return Wanted(_chosen(value, _ACTIONS[1:]))


def _mode(value: object) -> Literal["observe", "act"]:
    return "act" if _chosen(value, _MODES) == "act" else "observe"


def _chosen(value: object, allowed: Sequence[str]) -> str:
    if isinstance(value, str) and value in allowed:
        return value
    close = get_close_matches(str(value), allowed, n=1)
    meant = f"; did you mean {close[0]}?" if close else ""
    raise wrong(f"must be one of {', '.join(allowed)}, not {shown(value)}{meant}")


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
Escalation: TypeAlias = Annotated[
    Wanted, PlainValidator(_escalation), WithJsonSchema({"enum": _ACTIONS[1:]})
]
SetupLimit: TypeAlias = Annotated[
    timedelta,
    PlainValidator(_limited),
    WithJsonSchema({"type": "string", "pattern": f"^{DURATION}$"}),
]
TimeZone: TypeAlias = Annotated[
    str, PlainValidator(_time_zone), WithJsonSchema({"type": "string", "minLength": 1})
]
Deadline: TypeAlias = Annotated[
    date | datetime,
    PlainValidator(_deadline),
    WithJsonSchema({"type": "string", "pattern": f"^{_DATE}"}),
]
Glob: TypeAlias = Annotated[
    str, PlainValidator(_glob), WithJsonSchema({"type": ["string", "integer"], "minLength": 1})
]
