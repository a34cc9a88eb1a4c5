"""Rules that can never decide, as far as their conditions show without being evaluated.

Conditions are taken apart at `&&`. A rule is shadowed where each part of an earlier condition
follows from a part of its own. What cannot be told is not told: no warning is a guess.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from policies.condition_text import Token, tokens_of
from policies.conditions import compiled

_BRACKETS = {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a condition; of a comparison of one name with literals, what it compares."""

    text: str
    name: str | None = None
    sign: str = ""
    number: float | None = None
    values: frozenset[str] = frozenset()
    """The literals that it is one of."""

    def follows_from(self, other: Part) -> bool:
        if self.text == other.text:
            return True
        if self.name is None or self.name != other.name:
            return False
        if self.values:
            return bool(other.values) and other.values <= self.values
        if self.number is None or other.number is None:
            return False
        return _bound_follows(self.sign, self.number, other.sign, other.number)


def _bound_follows(sign: str, bound: float, given: str, than: float) -> bool:
    """Whether x `sign` bound holds for every x with x `given` than."""
    if sign[0] not in "<>" or given[0] != sign[0]:
        return False
    if bound == than:
        return sign == given or sign.endswith("=")
    return (than > bound) is (sign[0] == ">")


def shadowed_by(conditions: Sequence[str], index: int) -> int | None:
    """The first earlier rule that always decides where this one would; None: none is seen to."""
    parts = _parts(conditions[index])
    for earlier, condition in enumerate(conditions[:index]):
        wanted = _parts(condition)
        if all(any(part.follows_from(own) for own in parts) for part in wanted):
            return earlier
    return None


def never_holds(condition: str) -> bool:
    """Whether it is false whatever is known: it names nothing, or asks one name for two things."""
    if not compiled(condition).names:
        return not _constant(condition)
    parts = _parts(condition)
    return any(_contradict(one, other) for one in parts for other in parts)


def always_holds(condition: str) -> bool:
    return not compiled(condition).names and _constant(condition)


def _constant(condition: str) -> bool:
    return bool(compiled(condition).expression.eval(data={}).value())


def _contradict(one: Part, other: Part) -> bool:
    if one.name is None or one.name != other.name:
        return False
    if one.values and other.values:
        return not one.values & other.values
    if one.number is None or other.number is None or one.sign[0] != ">" or other.sign[0] != "<":
        return False
    both = one.sign == ">=" and other.sign == "<="
    return one.number > other.number or (one.number == other.number and not both)


def _parts(condition: str) -> list[Part]:
    """What `&&` joins at the outermost level; nothing of a condition that always holds."""
    if always_holds(condition):
        return []
    seen = [token for token in tokens_of(condition) if token.kind != "space"]
    if any(token.text in {"||", "?"} for token in _outermost(seen)):
        return [_part(seen)]
    pieces: list[list[Token]] = [[]]
    depth = 0
    for token in seen:
        depth += _BRACKETS.get(token.text, 0)
        if token.text == "&&" and not depth:
            pieces.append([])
        else:
            pieces[-1].append(token)
    return [_part(piece) for piece in pieces]


def _outermost(tokens: Sequence[Token]) -> Iterator[Token]:
    depth = 0
    for token in tokens:
        depth += _BRACKETS.get(token.text, 0)
        if not depth:
            yield token


def _part(tokens: Sequence[Token]) -> Part:
    text = " ".join(token.text for token in tokens)
    words = [token.text for token in tokens]
    length = 0
    while length < len(tokens) and (tokens[length].kind == "word" or words[length] == "."):
        length += 1
    name, rest = "".join(words[:length]), tokens[length:]
    if name.endswith("in") and words[length - 1] == "in":
        name, rest = "".join(words[: length - 1]), tokens[length - 1 :]
    if not name or len(rest) < len(("==", "1")):
        return Part(text)
    sign, literals = rest[0].text, rest[1:]
    if sign == "in" and literals[0].text == "[" and literals[-1].text == "]":
        items = [token for token in literals[1:-1] if token.text != ","]
        if all(token.kind == "string" for token in items):
            return Part(text, name, sign, values=frozenset(token.text[1:-1] for token in items))
    if sign in _TURNED and len(literals) == 1:
        (literal,) = literals
        if literal.kind == "string" and sign == "==":
            return Part(text, name, sign, values=frozenset({literal.text[1:-1]}))
        if literal.kind in {"whole", "fraction"} and sign[0] in "<>":
            return Part(text, name, sign, number=_number(literal.text))
    return Part(text)


def _number(text: str) -> float:
    return float(int(text, 16)) if text.startswith("0x") else float(text.rstrip("uU"))
