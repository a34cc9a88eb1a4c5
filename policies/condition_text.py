"""The words of a CEL condition: which names it uses, and its whole numbers written as doubles."""

import re
from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from policies.names import BY_NAME

_RAW_STRING = r"""(?:[rR][bB]?|[bB][rR])
    (?: \"{3}[\s\S]*?\"{3} | '{3}[\s\S]*?'{3} | "[^"\n]*" | '[^'\n]*' )"""
_STRING = r"""[bB]?
    (?: \"{3}(?:\\[\s\S]|[^\\])*?\"{3} | '{3}(?:\\[\s\S]|[^\\])*?'{3}
      | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' )"""
_FRACTION = r"\d+\.\d+(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+"
_TOKEN = re.compile(
    rf"""(?P<space>\s+|//[^\n]*)
    | (?P<string>{_RAW_STRING}|{_STRING})
    | (?P<fraction>{_FRACTION}|(?:0x[0-9a-fA-F]+|\d+)[uU])
    | (?P<whole>0x[0-9a-fA-F]+|\d+)
    | (?P<word>[_a-zA-Z][_a-zA-Z0-9]*)
    | (?P<sign>==|!=|<=|>=|&&|\|\||[\s\S])""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    """`space` (comments too), `string`, `fraction`, `whole`, `word` or `sign`."""
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


def tokens_of(text: str) -> tuple[Token, ...]:
    """Every character of the text in exactly one token."""
    found = _TOKEN.finditer(text)
    return tuple(Token(match.lastgroup or "", match.group(), match.start()) for match in found)


@dataclass(frozen=True, slots=True)
class Reference:
    """A documented name where a condition uses it."""

    name: str
    start: int
    tag: str | None
    """The tag that is asked for, as written: `env` or a string literal."""
    before: tuple[Token, ...]
    after: tuple[Token, ...]
    """What stands on both sides, without spaces and comments."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Identifiers joined by dots: `workload.name.startsWith`."""

    parts: tuple[str, ...]
    start: int
    end: int


def references(tokens: Sequence[Token]) -> Iterator[Reference]:
    """The documented names in use, in order of appearance."""
    seen = [token for token in tokens if token.kind != "space"]
    index = 0
    while index < len(seen):
        length = _chain_length(seen, index)
        if length and not (index and seen[index - 1].text == "."):
            reference = _reference(seen, index, length)
            if reference is not None:
                yield reference
        index += max(1, length)


def chains(tokens: Sequence[Token]) -> Iterator[Chain]:
    """All dotted identifiers, documented or not."""
    seen = [token for token in tokens if token.kind != "space"]
    index = 0
    while index < len(seen):
        length = _chain_length(seen, index)
        if length:
            links = seen[index : index + length]
            parts = tuple(link.text for link in links[::2])
            yield Chain(parts, links[0].start, links[-1].end)
        index += max(1, length)


def _chain_length(seen: Sequence[Token], index: int) -> int:
    """How many tokens the dotted identifier has that begins here; 0 where none begins."""
    if seen[index].kind != "word":
        return 0
    length = 1
    while (
        index + length + 1 < len(seen)
        and seen[index + length].text == "."
        and seen[index + length + 1].kind == "word"
    ):
        length += 2
    return length


def _reference(seen: Sequence[Token], index: int, length: int) -> Reference | None:
    parts = [token.text for token in seen[index : index + length : 2]]
    after = seen[index + length :]
    if after and after[0].text == "(":
        parts.pop()
    for used in range(len(parts), 0, -1):
        name = ".".join(parts[:used])
        if name in BY_NAME:
            return Reference(
                name=name,
                start=seen[index].start,
                tag=_tag(name, parts[used:], after),
                before=tuple(seen[:index]),
                after=tuple(after),
            )
    return None


def _tag(name: str, rest: Sequence[str], after: Sequence[Token]) -> str | None:
    if name != "tags":
        return None
    if rest:
        return rest[0]
    signs = [token.text for token in after[:3:2]]
    return after[1].text if signs == ["[", "]"] and after[1].kind == "string" else None


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A text in which whole numbers became doubles, and the way back to where they stood."""

    text: str
    starts: tuple[int, ...]
    tokens: tuple[Token, ...]

    def original_offset(self, line: int, column: int) -> int:
        """Where in the original text the place stands that is counted from 1 in this one."""
        lines = self.text.split("\n")
        offset = sum(len(each) + 1 for each in lines[: line - 1]) + column - 1
        index = bisect_right(self.starts, offset) - 1
        if index < 0:
            return 0
        token = self.tokens[index]
        return min(token.start + offset - self.starts[index], token.end)


def with_doubles(tokens: tuple[Token, ...], but: Collection[int]) -> Rewritten:
    """Whole numbers as doubles, but those that start at one of the offsets in `but`."""
    texts = [
        _as_double(token.text) if token.kind == "whole" and token.start not in but else token.text
        for token in tokens
    ]
    starts = accumulate((len(text) for text in texts), initial=0)
    return Rewritten("".join(texts), tuple(starts)[:-1], tokens)


def _as_double(whole: str) -> str:
    return f"{int(whole, 16)}.0" if whole.startswith("0x") else f"{whole}.0"
