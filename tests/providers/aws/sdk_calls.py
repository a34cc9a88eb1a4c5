"""What the adapter's source asks of AWS: the operations that it names, found without running it."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import botocore.session
from botocore import xform_name

from tests.providers.aws.iam_actions import action_of

ADAPTER = Path(__file__).resolve().parents[3] / "providers" / "aws"
NO_PATROL = frozenset({"probes.py", "simulated.py"})
"""The doctor's trials call each permission because it is listed; the simulation sets a stage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SdkCall:
    place: str
    """`file:line`."""
    method: str
    actions: frozenset[str]
    """What a role needs for it; several where services of the adapter share the method's name."""


def sdk_calls() -> list[SdkCall]:
    trees = {
        path.name: ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(ADAPTER.rglob("*.py"))
        if path.name not in NO_PATROL
    }
    services = {name for tree in trees.values() for name in _services(tree)}
    actions = _actions(frozenset(services))
    return [
        SdkCall(place=f"{file}:{line}", method=method, actions=frozenset(actions[method]))
        for file, tree in trees.items()
        for line, method in _methods(tree)
        if method in actions
    ]


def _services(tree: ast.Module) -> Iterator[str]:
    """The services of `….client("service", …)`, and of a module's `SERVICE`."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "client"
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            yield str(node.args[0].value)
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and node.targets[0].id == "SERVICE"
            and isinstance(node.value, ast.Constant)
        ):
            yield str(node.value.value)


def _methods(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Names that are looked up on something, called or not, and names given to any call."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not _is_of_a_constant(node):
            yield node.lineno, node.attr
        if isinstance(node, ast.Call):
            for given in node.args:
                if isinstance(given, ast.Constant):
                    yield node.lineno, str(given.value)


def _is_of_a_constant(node: ast.Attribute) -> bool:
    """A constant, in capitals, is no client: `_WHEN.search` is none of SageMaker's."""
    return isinstance(node.value, ast.Name) and node.value.id.isupper()


@cache
def _actions(services: frozenset[str]) -> dict[str, set[str]]:
    """By the SDK's name of a method, the actions that it may need."""
    session = botocore.session.get_session()
    found: dict[str, set[str]] = defaultdict(set)
    for service in services:
        for operation in session.get_service_model(service).operation_names:
            found[xform_name(operation)].add(action_of(service, operation))
    found.pop("search", None)  # SageMaker's; here it is always a pattern that searches
    return dict(found)
