"""Conditions of a policy, in CEL: checked when they are loaded, and never true on missing data."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from policies.condition_errors import ConditionError, Problem, explained, never, told, type_named
from policies.condition_text import (
    Reference,
    Rewritten,
    Token,
    references,
    tokens_of,
    with_doubles,
)
from policies.names import BY_NAME, NAMES, NameType

LONGEST = 2000
"""Characters of a condition; longer ones are better written as several rules."""
_TRIED = 4
"""How many numbers near a type error are tried as whole numbers."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition that compiled: it is either true or false wherever it can be evaluated."""

    text: str
    names: tuple[str, ...]
    """The documented names that it uses."""
    tags: tuple[str, ...]
    """The tags that it asks for by name."""
    expression: Any


@dataclass(frozen=True, slots=True)
class Evaluation:
    holds: bool | None
    """None: it could not be evaluated."""
    missing: tuple[str, ...] = ()
    """The names and tags without a value because of which it could not."""
    why: str = ""


class Known:
    """What is known of one machine, as far as the conditions that are to be evaluated use it."""

    __slots__ = ("_activation", "values")

    def __init__(self, known: Mapping[str, object], conditions: Sequence[Condition]) -> None:
        used = {name for condition in conditions for name in condition.names}
        self.values: dict[str, object] = {
            name: dict(value) if isinstance(value, Mapping) else value
            for name, value in known.items()
            if name in used and not _is_unknown(value)
        }
        self._activation = _environment().Activation(data=self.values)

    def evaluate(self, condition: Condition) -> Evaluation:
        """Only CEL's two truth values count. An error of any kind is neither."""
        try:
            value = condition.expression.eval(activation=self._activation)
        except RuntimeError as error:  # a tag, for one, may hold text that is no Unicode
            return self._not_evaluated(condition, str(error))
        if value.type() == _cel().Type.BOOL:
            return Evaluation(holds=bool(value.value()))
        return self._not_evaluated(condition, str(value.value()))

    def _not_evaluated(self, condition: Condition, error: str) -> Evaluation:
        missing = tuple(name for name in condition.names if name not in self.values)
        if missing:
            verb = "is" if len(missing) == 1 else "are"
            return Evaluation(None, missing, f"{_listed(missing)} {verb} unknown")
        tags = self.values.get("tags")
        unset = [tag for tag in condition.tags if isinstance(tags, dict) and tag not in tags]
        if unset:
            shown = tuple(f'tags["{tag}"]' for tag in unset)
            return Evaluation(None, shown, f"{_listed(shown)} is not set")
        return Evaluation(None, (), told(error))


def _is_unknown(value: object) -> bool:
    """None, and NaN, which would otherwise compare as a number."""
    return value is None or (isinstance(value, float) and value != value)  # noqa: PLR0124


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def checked(text: str) -> Condition:
    """As `compiled`; and on a full sample, where every name has a value, it is true or false."""
    condition = compiled(text)
    sample: dict[str, object] = {each.name: each.example for each in NAMES}
    sample["tags"] = dict.fromkeys(condition.tags, "1")
    evaluation = Known(sample, [condition]).evaluate(condition)
    if evaluation.holds is None:
        raise ConditionError(0, f"it cannot be evaluated, even on a full sample: {evaluation.why}")
    return condition


@lru_cache(maxsize=4096)
def compiled(text: str) -> Condition:
    """The condition, or a `ConditionError` that says what is wrong, where, and what is meant."""
    if len(text) > LONGEST:
        raise ConditionError(0, f"it is longer than {LONGEST} characters; make it several rules")
    if not _is_unicode(text):
        raise ConditionError(0, "it holds half a character (a lone surrogate)")
    tokens = tokens_of(text)
    used = tuple(references(tokens))
    expression = _expression(text, tokens)
    if expression.return_type() != _cel().Type.BOOL:
        given = type_named(str(expression.return_type()))
        raise ConditionError(0, f"it gives {given}, not true or false; compare it with something")
    for reference in used:
        _check_values(reference)
    return Condition(
        text=text,
        names=tuple(dict.fromkeys(each.name for each in used)),
        tags=tuple(dict.fromkeys(_literal(each.tag) for each in used if each.tag is not None)),
        expression=expression,
    )


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


@cache
def _cel() -> Any:
    from cel_expr_python import cel  # noqa: PLC0415 - 50 MB, needed once a condition is read

    return cel


@cache
def _environment() -> Any:
    types = _cel().Type
    by_type = {
        NameType.NUMBER: types.DOUBLE,
        NameType.TEXT: types.STRING,
        NameType.TRUTH: types.BOOL,
        NameType.TAGS: types.Map(types.STRING, types.STRING),
    }
    return _cel().NewEnv(variables={each.name: by_type[each.type] for each in NAMES})


def _literal(written: str) -> str:
    """The text that is meant: by an identifier itself, by a string literal what it says."""
    is_literal = written[-1] in "\"'"
    return str(_environment().compile(written).eval().value()) if is_literal else written


def _check_values(reference: Reference) -> None:
    """A value that the name never has makes a rule that never holds, a guard that never guards."""
    allowed = BY_NAME[reference.name].values
    if not allowed:
        return
    for token in _compared(reference):
        value = _literal(token.text)
        if value not in allowed:
            raise ConditionError(token.start, never(reference.name, value, allowed))


def _compared(reference: Reference) -> list[Token]:
    """The string literals that stand beside the name in a comparison."""
    after, before = reference.after, reference.before
    beside = []
    if len(after) > 1 and after[0].text in {"==", "!="}:
        beside.append(after[1])
    if len(before) > 1 and before[-1].text in {"==", "!="}:
        beside.append(before[-2])
    if [token.text for token in after[:2]] == ["in", "["]:
        closing = [token.text for token in after].index("]")
        beside += after[2:closing]
    return [token for token in beside if token.kind == "string"]


# CEL compares no double with a whole number. So whole numbers are read as doubles, except where
# its own type checker asks for a whole number: in `size(tags) == 1`, in an index.


def _expression(text: str, tokens: tuple[Token, ...]) -> Any:
    whole: frozenset[int] = frozenset()
    expression, problems = _attempt(with_doubles(tokens, whole))
    first = problems
    while expression is None:
        more = _one_more_whole(tokens, whole, problems)
        if more is None:
            raise explained(text, tokens, first[0])
        whole = more
        expression, problems = _attempt(with_doubles(tokens, whole))
    return expression


def _attempt(rewritten: Rewritten) -> tuple[Any, tuple[Problem, ...]]:
    try:
        return _environment().compile(rewritten.text), ()
    except RuntimeError as error:
        return None, _problems(rewritten, str(error))


def _one_more_whole(
    tokens: tuple[Token, ...], whole: frozenset[int], problems: Sequence[Problem]
) -> frozenset[int] | None:
    """One more number that has to stay whole: the nearest that cures the first type error."""
    problem = problems[0]
    if "no matching overload" not in problem.text:
        return None
    starts = [each.start for each in tokens if each.kind == "whole" and each.start not in whole]
    for start in sorted(starts, key=lambda start: abs(start - problem.offset))[:_TRIED]:
        expression, left = _attempt(with_doubles(tokens, whole | {start}))
        if expression is not None or problem not in left:
            return whole | {start}
    return None


_PROBLEM = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")


def _problems(rewritten: Rewritten, error: str) -> tuple[Problem, ...]:
    found = tuple(
        Problem(rewritten.original_offset(int(line), int(column)), text)
        for line, column, text in _PROBLEM.findall(error)
    )
    return found or (Problem(0, error),)
