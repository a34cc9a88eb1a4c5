"""Several calls that fail alike are one gap."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from policies.facts import Gap, Scope
from providers.aws.errors import gap_from, likeness


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One thing that could not be listed."""

    what: str
    needs: str
    error: BaseException


def gaps_of(troubles: Iterable[Trouble], scope: Scope, together: str) -> list[Gap]:
    """One gap for all that failed alike: a denied region is told once, not once a call.

    `together`: what several things that could not be listed are called as one.
    """
    alike: dict[str, list[Trouble]] = defaultdict(list)
    for each in troubles:
        alike[likeness(each.error, scope)].append(each)
    gaps = []
    for several in alike.values():
        whats = list(dict.fromkeys(each.what for each in several))
        needs = ", ".join(dict.fromkeys(each.needs for each in several))
        what = whats[0] if len(whats) == 1 else together
        gaps.append(gap_from(several[0].error, scope, what, needs))
    return gaps
