"""Commitments in a patrol: read once a day (UTC), remembered, and set against what runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

from policies.facts import Machine
from providers.base import Inventory, ReadsCommitments, Seen
from providers.price_facts import (
    Commitment,
    CommitmentAnswer,
    CommitmentKind,
    CommitmentQuestion,
)
from watchdog import rows
from watchdog.costs.savings import by_kin, kin, may_be_covered, with_savings
from watchdog.gather import Gathered, guarded

if TYPE_CHECKING:
    from watchdog.ledger.store import Ledger

KIND = "commitments_read"
Answers = Mapping[CommitmentQuestion, Sequence[Commitment]]


def with_commitments(
    ledger: Ledger, gathered: Gathered, providers: Sequence[Inventory], *, now: datetime
) -> Gathered:
    """Machines with what a stop of each would save. What could not be read is a gap."""
    for provider in providers:
        if isinstance(provider, ReadsCommitments):
            gathered = _weighed(ledger, gathered, provider, now)
    return gathered


def _weighed(
    ledger: Ledger, gathered: Gathered, provider: ReadsCommitments, now: datetime
) -> Gathered:
    mine = [each for each in gathered.machines if each.provider == provider.name]
    relevant = [each for each in mine if may_be_covered(each)]
    asked = provider.commitment_questions(relevant)
    if not asked:
        return gathered
    known = _read_today(ledger, now)
    fresh: Seen[CommitmentAnswer] = Seen()
    missing = [each for each in asked if each not in known]
    if missing:
        read = partial(provider.commitments, missing)
        fresh = guarded(provider, "commitments", read)
    ledger.append("events", [_row(answer, now) for answer in fresh.values])
    told = {**known, **{each.question: each.commitments for each in fresh.values}}
    answers = {question: told[question] for question in asked if question in told}
    unread = [question for question in asked if question not in told]
    competing = by_kin(mine)
    weighed = {
        each.id: with_savings(
            each,
            competing.get(kin(each), ()),
            _concerning(each, answers),
            [question.what for question in unread if _concerns(question, each)],
            now,
        )
        for each in mine
    }
    return replace(
        gathered,
        machines=tuple(weighed.get(each.id, each) for each in gathered.machines),
        gaps=(*gathered.gaps, *fresh.gaps),
        api_calls={**gathered.api_calls, **provider.api_calls()},
    )


def _concerning(machine: Machine, answers: Answers) -> list[Commitment]:
    return [
        commitment
        for question, several in answers.items()
        if _concerns(question, machine)
        for commitment in several
    ]


def _concerns(question: CommitmentQuestion, machine: Machine) -> bool:
    return question.account == machine.account and question.region in {None, machine.region}


def _read_today(ledger: Ledger, now: datetime) -> dict[CommitmentQuestion, list[Commitment]]:
    today = now.astimezone(UTC).date()
    found = {}
    for row in ledger.rows("commitments_told"):
        if rows.moment_of(row["at"]).astimezone(UTC).date() == today:
            detail: Any = json.loads(str(row["detail_json"]))
            question = CommitmentQuestion(**detail["question"])
            found[question] = [_commitment_from(each) for each in detail["commitments"]]
    return found


def _row(answer: CommitmentAnswer, now: datetime) -> dict[str, object]:
    """One row a question, the newest."""
    question = answer.question
    place = f"{question.provider}:{question.account}:{question.region or 'global'}"
    return rows.event_row(
        subject=f"commitments/{place}/{question.what}",
        n="told",
        at=now,
        kind=KIND,
        machine=None,
        detail={
            "question": asdict(question),
            "commitments": [asdict(each) for each in answer.commitments],
        },
        observed_at=now,
    )


def _commitment_from(told: Mapping[str, Any]) -> Commitment:
    usd, end = told["hourly_usd"], told["ends_at"]
    return Commitment(
        **{
            **told,
            "kind": CommitmentKind(told["kind"]),
            "hourly_usd": None if usd is None else Decimal(usd),
            "ends_at": None if end is None else datetime.fromisoformat(end),
        }
    )
