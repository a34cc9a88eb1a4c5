"""YAML that remembers where everything stood, so that an error can name line and column."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

Path = Sequence[str | int]
"""Keys and indices from the top of a document: `("rules", 0, "when")`."""

_TAG = "tag:yaml.org,2002:"
_SCALARS = {f"{_TAG}{kind}" for kind in ("str", "int", "float", "bool", "null")}


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Line and column, both counted from 1."""

    line: int
    column: int


class YamlError(Exception):
    """Text that is no YAML, or YAML that says one thing twice."""

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(message)
        self.place = place


@dataclass(frozen=True, slots=True)
class MarkedYaml:
    """A document as plain Python values; `data` None where the text holds none."""

    data: object
    _text: str
    _root: Node | None

    def place_of(self, path: Path) -> Place:
        """Where the value stands, or the innermost that exists on the way to it."""
        node = self._node_at(path)
        return Place(1, 1) if node is None else _place(node.start_mark)

    def place_of_key(self, path: Path) -> Place:
        """Where the key of the value stands."""
        node = self._node_at(path[:-1])
        for key, _ in _pairs(node):
            if key.value == path[-1]:
                return _place(key.start_mark)
        return self.place_of(path)

    def place_within(self, path: Path, offset: int) -> Place:
        """Where a character of a text value stands, whichever way the text is quoted or folded."""
        node = self._node_at(path)
        if not isinstance(node, ScalarNode):
            return self.place_of(path)
        index = _index_in_file(self._text, node, offset)
        line_start = self._text.rfind("\n", 0, index) + 1
        return Place(self._text.count("\n", 0, index) + 1, index - line_start + 1)

    def _node_at(self, path: Path) -> Node | None:
        node = self._root
        for step in path:
            child = _child(node, step)
            if child is None:
                return node
            node = child
        return node


def read_yaml(text: str) -> MarkedYaml:
    """One document of mappings, lists, text, numbers, truth values and nulls; no key twice."""
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        data = None if root is None else _Values(loader).value_of(root)
        return MarkedYaml(data, text, root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(1, 1) if mark is None else _place(mark)
        raise YamlError(place, _explained(error.problem or str(error))) from error
    except yaml.reader.ReaderError as error:
        message = f"character {error.character!r} is not allowed in YAML"
        raise YamlError(_place_of_character(text, error.position), message) from error
    except RecursionError as error:
        raise YamlError(Place(1, 1), "it is nested too deeply") from error


class _Values:
    """Plain values of nodes. An alias gives the value of its anchor, once made."""

    def __init__(self, loader: yaml.SafeLoader) -> None:
        self._loader = loader
        self._made: dict[int, object] = {}
        self._open: set[int] = set()

    def value_of(self, node: Node) -> object:
        if id(node) in self._open:
            raise YamlError(_place(node.start_mark), "an alias stands inside its own anchor")
        if id(node) not in self._made:
            self._open.add(id(node))
            self._made[id(node)] = self._make(node)
            self._open.remove(id(node))
        return self._made[id(node)]

    def _make(self, node: Node) -> object:
        if isinstance(node, MappingNode) and node.tag == f"{_TAG}map":
            return self._mapping(node)
        if isinstance(node, SequenceNode) and node.tag == f"{_TAG}seq":
            return [self.value_of(item) for item in node.value]
        if isinstance(node, ScalarNode) and node.tag in _SCALARS:
            return self._scalar(node)
        if node.tag == f"{_TAG}timestamp":
            return node.value  # text, as in YAML 1.2
        raise YamlError(_place(node.start_mark), "text that begins with ! must stand in quotes")

    def _mapping(self, node: MappingNode) -> dict[str, object]:
        _refuse_odd_keys(node)
        self._loader.flatten_mapping(node)
        return {key.value: self.value_of(value) for key, value in node.value}

    def _scalar(self, node: ScalarNode) -> object:
        if any("\ud800" <= character <= "\udfff" for character in node.value):
            message = "this holds half a character (a lone surrogate)"
            raise YamlError(_place(node.start_mark), message)
        try:
            return self._loader.construct_object(node)
        except (ValueError, KeyError) as error:  # `0x_`, `!!bool x`, thousands of digits
            kind = node.tag.removeprefix(_TAG)
            message = f"this is no {kind}; put text in quotes"
            raise YamlError(_place(node.start_mark), message) from error


def _refuse_odd_keys(node: MappingNode) -> None:
    first: dict[str, Node] = {}
    for key, _ in node.value:
        if not isinstance(key, ScalarNode):
            raise YamlError(_place(key.start_mark), "a key must be plain text")
        if key.value in first:
            line = first[key.value].start_mark.line + 1
            message = f"key `{key.value}` stands twice; it is first in line {line}"
            raise YamlError(_place(key.start_mark), message)
        first[key.value] = key


def _place(mark: yaml.Mark) -> Place:
    return Place(mark.line + 1, mark.column + 1)


def _place_of_character(text: str, position: int) -> Place:
    before = text[:position]
    return Place(before.count("\n") + 1, position - before.rfind("\n"))


def _pairs(node: Node | None) -> Iterator[tuple[Node, Node]]:
    if isinstance(node, MappingNode):
        yield from node.value


def _child(node: Node | None, step: str | int) -> Node | None:
    if isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
        found: Node = node.value[step]
        return found
    # of a merged mapping the last pair counts, as it does for the value
    return next((value for key, value in reversed([*_pairs(node)]) if key.value == step), None)


def _index_in_file(text: str, node: ScalarNode, offset: int) -> int:
    """Folding and quoting move spaces and add signs but keep the order of all other characters."""
    index: int = node.start_mark.index
    end: int = node.end_mark.index
    if node.style in {"|", ">"}:
        index = max(index, text.find("\n", index, end))  # past the sign and its options
    elif node.style is not None:
        index += 1
    value: str = node.value
    for character in value[:offset]:
        if not character.isspace():
            index = max(index, text.find(character, index, end) + 1)
    wanted = value[offset : offset + 1]
    if wanted.strip():
        index = max(index, text.find(wanted, index, end))
    return index


_HINTS = {
    "found character '\\t' that cannot start any token": "a tab cannot indent YAML; use spaces",
    "mapping values are not allowed here": (
        "a colon cannot stand here; put text that holds one in quotes, or check the indentation"
    ),
    "could not find expected ':'": "a colon is missing after the key",
    "but found another document": "it holds several documents; a policy is one",
}


def _explained(problem: str) -> str:
    if problem.startswith("expected <block end>"):
        return "this does not belong here; check the indentation, or put the whole text in quotes"
    return _HINTS.get(problem, f"it is no YAML: {problem}")
