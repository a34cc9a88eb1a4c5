"""What every adapter says of errors alike. Which sentence fits, its cloud's own module knows."""

from __future__ import annotations

from policies.facts import Gap, Scope

LONGEST = 300
"""Characters of one sentence."""


class DeadlinePassed(Exception):  # noqa: N818 - a fact about time, told as a gap
    """A question took longer than it may; what was still missing is given up."""


class AnswerCut(Exception):  # noqa: N818 - a fact about an answer, told as a gap
    """An answer without the part that was asked for: cut off on its way, or not the cloud's."""


NO_ANSWER_OF_THEIRS = (
    DeadlinePassed,
    AnswerCut,
    # An answer of another shape than the cloud's breaks where it is read.
    AttributeError,
    KeyError,
    TypeError,
    ValueError,
)
"""What a call can raise whatever the SDK is."""


def gap_of(scope: Scope, what: str, why: str) -> Gap:
    """Of a whole scope, in one line."""
    return Gap(
        provider=scope.provider,
        account=scope.account,
        region=scope.region,
        what=what,
        why=one_line(why),
    )


def one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
