"""Azure Resource Graph: one question over many subscriptions, a thousand rows a page.

A subscription that spoils a question asked of several is found by asking each alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from azure.mgmt.resourcegraph.models import QueryRequest, QueryRequestOptions

from providers.azure.errors import is_of_one_part
from providers.azure.session import PAGES_AT_MOST, AzureSession
from providers.chunks import chunks
from providers.errors import AnswerCut

ROWS = 1000
"""Rows that one page holds at most."""
TOGETHER = 200
"""Subscriptions asked at once; Azure advises fewer than 300."""

Raw = Mapping[str, Any]


@dataclass(slots=True)
class Answers:
    """The rows of all subscriptions that answered, and what went wrong with the others."""

    rows: list[Raw] = field(default_factory=list)
    whole: set[str] = field(default_factory=set)
    failed: dict[str, Exception] = field(default_factory=dict)


def ask(session: AzureSession, subscriptions: Sequence[str], query: str) -> Answers:
    """As few calls as may be; where a question of several fails for one of them, one each."""
    answers = Answers()
    groups = [tuple(several) for several in chunks(subscriptions, TOGETHER)]
    alone: list[tuple[str, ...]] = []
    for several, told in _side_by_side(session, groups, query).items():
        if isinstance(told, Exception) and len(several) > 1 and is_of_one_part(told):
            alone += [(each,) for each in several]
        else:
            _taken(answers, several, told)
    for several, told in _side_by_side(session, alone, query).items():
        _taken(answers, several, told)
    return answers


def _side_by_side(
    session: AzureSession, groups: Sequence[tuple[str, ...]], query: str
) -> Mapping[tuple[str, ...], list[Raw] | Exception]:
    return session.side_by_side(groups, lambda several: _rows(session, several, query))


def _taken(answers: Answers, several: tuple[str, ...], told: list[Raw] | Exception) -> None:
    if isinstance(told, Exception):
        answers.failed |= dict.fromkeys(several, told)
    else:
        answers.rows += told
        answers.whole |= set(several)


def _rows(session: AzureSession, subscriptions: Sequence[str], query: str) -> list[Raw]:
    """All pages. Raises one of `AZURE_ERRORS`, also where an answer is not whole."""
    graph = session.graph()
    found: list[Raw] = []
    token, seen = None, set()
    for _ in range(PAGES_AT_MOST):
        options = QueryRequestOptions(top=ROWS, skip_token=token, result_format="objectArray")
        page: Any = graph.resources(
            QueryRequest(subscriptions=list(subscriptions), query=query, options=options)
        )
        found += _objects(page.data)
        token = page.skip_token
        if not token:
            if str(page.result_truncated).lower() == "true":
                raise AnswerCut("it was truncated")
            return found
        if token in seen:
            break
        seen.add(token)
    raise AnswerCut("its pages do not end")


def _objects(data: Any) -> list[Raw]:
    """Rows as objects, also where an older service answers with a table."""
    if isinstance(data, Mapping):
        names = [column["name"] for column in data["columns"]]
        return [dict(zip(names, row, strict=True)) for row in data["rows"]]
    if not isinstance(data, list) or not all(isinstance(row, Mapping) for row in data):
        raise AnswerCut("no rows in it")
    return list(data)
