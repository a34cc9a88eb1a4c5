"""What is wrong with a condition, in words that help its author. The CEL compiler's are terse."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from policies.condition_text import Token, chains
from policies.names import BY_NAME


class ConditionError(Exception):
    """What is wrong with a condition, and where in its text."""

    def __init__(self, offset: int, message: str) -> None:
        super().__init__(message)
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Problem:
    """One complaint of the CEL compiler, and where in the condition."""

    offset: int
    text: str


_TYPES = {
    "double": "a number",
    "int": "a whole number",
    "uint": "an unsigned number",
    "string": "text",
    "bool": "true or false",
    "null_type": "null",
    "null": "null",
    "timestamp": "a time",
    "duration": "a duration",
    "google.protobuf.timestamp": "a time",
    "google.protobuf.duration": "a duration",
}
_MEANT = {"and": "&&", "or": "||", "not": "!", "=": "==", "&": "&&", "|": "||", "is": "=="}


def type_named(cel_type: str) -> str:
    name = cel_type.lower()
    if name.startswith(("list", "map")):
        return "a list" if name.startswith("list") else "a map"
    return _TYPES.get(name, name)


def explained(text: str, tokens: Sequence[Token], problem: Problem) -> ConditionError:
    said = problem.text.removesuffix(" [INVALID_ARGUMENT]")
    if undeclared := re.match(r"undeclared reference to '([^']*)'", said):
        return _undeclared(text, tokens, problem.offset, undeclared.group(1))
    if overload := re.match(r"found no matching overload for '([^']*)' applied to '(.*)'", said):
        return ConditionError(problem.offset, _no_overload(*overload.groups()))
    if operand := re.match(r"expression of type '([^']*)' cannot be the operand of a select", said):
        return ConditionError(problem.offset, f"{type_named(operand.group(1))} has no parts")
    if said.startswith("Syntax error"):
        return _syntax(text, tokens, problem.offset, said)
    return ConditionError(problem.offset, told(said))


def _undeclared(text: str, tokens: Sequence[Token], offset: int, name: str) -> ConditionError:
    chain = next((each for each in chains(tokens) if each.start <= offset <= each.end), None)
    start = offset if chain is None else chain.start
    if chain is not None and ".".join(chain.parts) != name:
        start = chain.end - len(name)
    if text[offset : offset + 1] == "(":
        return ConditionError(start, f"CEL has no function `{name}`")
    close = get_close_matches(name, list(BY_NAME), n=1)
    meant = f"did you mean `{close[0]}`?" if close else _instead(name)
    return ConditionError(start, f"unknown name `{name}`; {meant}")


def _instead(name: str) -> str:
    first, dot, _ = name.partition(".")
    alike = [each for each in BY_NAME if each.partition(".")[0] == first]
    families = dict.fromkeys(each.partition(".")[0] for each in BY_NAME)
    known = f"there are {', '.join(alike)}" if alike else f"names begin with {', '.join(families)}"
    return known if dot else f'write text in quotes, as in "{name}"; {known}'


def _no_overload(function: str, arguments: str) -> str:
    types = [type_named(each) for each in _arguments(arguments)]
    sign = re.sub(r"^@|_", "", function) if re.match("[_@!]", function) else function
    if sign in {"&&", "||", "!"}:
        return f"`{sign}` needs true or false, not {' and '.join(types)}"
    if sign in {"==", "!=", "<", "<=", ">", ">="}:
        return f"`{sign}` cannot compare {' with '.join(types)}"
    return f"`{sign}` cannot be used with {' and '.join(types)}"


def _arguments(told: str) -> list[str]:
    """`(map(string, string), double)` → its two types."""
    return re.findall(r"[\w.]+(?:\([^()]*(?:\([^()]*\)[^()]*)*\))?", told[told.find("(") + 1 :])


def _syntax(text: str, tokens: Sequence[Token], offset: int, said: str) -> ConditionError:
    token = next((each for each in tokens if each.start <= offset < each.end), None)
    before = [each for each in tokens if each.end <= offset and each.kind != "space"]
    for candidate in (token, before[-1] if before else None):
        if candidate is not None and candidate.text in _MEANT:
            meant = _MEANT[candidate.text]
            return ConditionError(candidate.start, f"`{candidate.text}`: write `{meant}` instead")
    if offset >= len(text.rstrip()):
        return ConditionError(offset, "the condition ends too early")
    if token is not None and token.text in "\"'":
        return ConditionError(offset, "the quote is never closed")
    shown = said if token is None else f"`{token.text}` is not expected here"
    return ConditionError(offset, shown)


def told(error: str) -> str:
    """CEL's own sentence without its decoration."""
    line = error.splitlines()[0] if error else "no reason was given"
    return re.sub(r"^[A-Z_]+: | \[[A-Z_]+\]$", "", line)


def never(name: str, value: str, allowed: Sequence[str]) -> str:
    close = get_close_matches(value, allowed, n=1)
    meant = f'did you mean "{close[0]}"? It' if close else "it"
    return f'`{name}` is never "{value}"; {meant} is one of {", ".join(allowed)}'
