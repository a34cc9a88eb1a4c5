"""Aggregated lists of Compute Engine: all zones of a project at once, 500 a page, trouble apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.json_format import MessageToDict

from providers.errors import AnswerCut
from providers.gcp.errors import GCP_ERRORS
from providers.gcp.session import PAGES_AT_MOST, GcpSession

PAGE = 500
NOTHING_THERE = frozenset({"NO_RESULTS_ON_PAGE", ""})
"""Warnings that say nothing but that a place holds nothing."""

Raw = Mapping[str, Any]


@dataclass(slots=True)
class Listing:
    """What one aggregated list told."""

    places: dict[str, list[Any]] = field(default_factory=dict)
    """By zone or region, its resources as messages; a place that holds nothing stands here too."""
    troubles: dict[str, str] = field(default_factory=dict)
    """By place that could not be seen whole, why."""
    cut: Exception | None = None
    """What ended the listing after its first page; None: it was read to its end."""

    def raws(self) -> Iterator[tuple[str, Raw]]:
        """Every resource with its place, in the names of Google's JSON."""
        for place, resources in self.places.items():
            for each in resources:
                yield place, as_json(each)


def aggregated(session: GcpSession, client: str, request: Any, items: str) -> Listing:
    """All pages. Raises one of `GCP_ERRORS` where not even the first one came.

    `items`: the field of a place that holds its resources. A place may stand on several pages.
    """
    found = Listing()
    before = None
    try:
        pager = session.compute(client).aggregated_list(
            request=request, retry=session.retry, timeout=session.timeout
        )
        for number, page in enumerate(pager.pages):
            _add(found, type(page).pb(page), items)
            token = page.next_page_token
            if token and (token == before or number + 1 >= PAGES_AT_MOST):
                raise AnswerCut("its pages do not end")
            before = token
    except GCP_ERRORS as error:
        if not found.places and not found.troubles:
            raise
        found.cut = error
    return found


def as_json(message: Any) -> Raw:
    """A message under the names of Google's JSON: `lastStartTimestamp`, long numbers as text."""
    told: Raw = MessageToDict(message)
    return told


def _add(found: Listing, page: Any, items: str) -> None:
    for key, part in page.items.items():
        place = tail(key)
        found.places.setdefault(place, []).extend(getattr(part, items))
        if part.HasField("warning") and part.warning.code not in NOTHING_THERE:
            found.troubles[place] = _warning(part.warning)
    for each in page.unreachables:
        found.troubles.setdefault(tail(each), "Google could not reach it")
    if page.HasField("warning") and page.warning.code not in NOTHING_THERE:
        found.troubles.setdefault("", _warning(page.warning))


def _warning(warning: Any) -> str:
    return f"{warning.code}: {warning.message}".rstrip(": ")


def tail(url: str) -> str:
    """`us-central1-a` of `https://…/zones/us-central1-a`."""
    return url.rsplit("/", 1)[-1]


def region_of(zone: str) -> str:
    """`us-central1` of `us-central1-a`."""
    return zone.rsplit("-", 1)[0]
