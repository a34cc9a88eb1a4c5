"""The shadow report for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from policies.patience import span
from policies.rules import Policy, Rule
from watchdog.alerts.wording import counted
from watchdog.json_values import moment, money
from watchdog.shadow.replay import UNMEASURED, UNTOLD, ShadowStop
from watchdog.shadow.report import Held, Line, Ready, ShadowReport, restart_usd

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from watchdog.settings import Settings

SCHEMA = "spend-watchdog/shadow/1"
CENT = Decimal("0.01")
UNPRICED = "unpriced"
SHOWN = 10
"""Stops, machines and workloads that are named; the others are counted. `--json` has all."""
GAPS_SHOWN = 5


def shadow_json(report: ShadowReport) -> dict[str, object]:
    """Times RFC 3339, money decimal strings, hours watched ones; null: unknown, unpriced, none."""
    seen = report.watched
    return {
        "schema": SCHEMA,
        "since": moment(report.since),
        "until": moment(report.until),
        "policy": report.policy.name,
        "tried_instead_of": report.tried_instead,
        "patrols": len(seen.looks),
        "patrols_that_acted": report.acted,
        "observed_from": moment(seen.seen_from),
        "observed_hours": _hours(seen.observed),
        "judgements_from": moment(report.judged_from),
        "gaps": [
            {
                "provider": scope.provider,
                "account": scope.account,
                "region": scope.region,
                "from": moment(began),
                "until": moment(ended),
            }
            for scope, spans in seen.gaps.items()
            for began, ended in spans
        ],
        "machines": report.replay.machines,
        "rules": [{"rule": each.name, **_line_json(each)} for each in report.rules],
        "workloads": [
            {"workload": each.name, "owner": each.owner, **_line_json(each)}
            for each in report.workloads
        ],
        "totals": _line_json(report.total),
        "stops": [_stop_json(each, report.policy) for each in report.replay.stops],
        "undecided": [_held_json(each) for each in report.held],
        "ready": [
            {
                "rule": each.rule,
                "ready": each.ready,
                "why": each.why,
                "first": None if each.team is None else {each.team: each.team_name},
            }
            for each in report.ready
        ],
    }


def _line_json(line: Line) -> dict[str, object]:
    counts = {} if line.warned is None else {"warned": line.warned, "notified": line.told}
    return {
        **counts,
        "stops": line.stops,
        "back_within_30_minutes": line.back_soon,
        "saved_hours": _hours(line.saved),
        "saved_usd": money(_cents(line.saved_usd)),
        "restarts_usd": money(_cents(line.restarts_usd)),
        "undecided_hours": _hours(line.undecided),
        "undecided_usd": money(_cents(line.undecided_usd)),
    }


def _stop_json(stop: ShadowStop, policy: Policy) -> dict[str, object]:
    after = stop.back_after
    return {
        "machine": stop.machine.id,
        "name": stop.machine.name,
        "workload": stop.known.attribution.workload,
        "owner": stop.known.attribution.owner,
        "rule": stop.rule,
        "verdict": stop.known.verdict.value,
        "quiet_since": moment(stop.known.phase.quiet_since),
        "warned_at": moment(stop.warned_at),
        "stopped_at": moment(stop.at),
        "back_at": moment(stop.ended_at) if stop.back else None,
        "back_after_minutes": None if after is None else round(after.total_seconds() / 60, 1),
        "stopped_by_others_at": None if stop.back else moment(stop.ended_at),
        "saved_hours": _hours(stop.saved.time),
        "saved_usd": money(_cents(stop.saved.usd)),
        "restart_usd": money(_cents(restart_usd(stop, policy))) if stop.back else None,
    }


def _held_json(held: Held) -> dict[str, object]:
    return {
        "machine": held.machine,
        "name": held.name,
        "workload": held.workload,
        "owner": held.owner,
        "reason": held.reason,
        "why": held.why,
        "hours": _hours(held.burnt.time),
        "usd": money(_cents(held.burnt.usd)),
    }


def _hours(time: timedelta) -> float:
    return round(time.total_seconds() / 3600, 3)


def _cents(usd: Decimal | None) -> Decimal | None:
    return None if usd is None else usd.quantize(CENT)


# --- For people.


def rules_frame(report: ShadowReport) -> pd.DataFrame:
    """What each rule would have done; money in US dollars."""
    return _frame(
        [
            {"rule": each.name, "warned": each.warned, "notified": each.told, **_cells(each)}
            for each in report.rules
        ]
    )


def workloads_frame(report: ShadowReport) -> pd.DataFrame:
    return _frame(
        [{"workload": each.name, "owner": each.owner, **_cells(each)} for each in report.workloads]
    )


def _cells(line: Line) -> dict[str, object]:
    return {
        "stops": line.stops,
        "back_in 30 min": line.back_soon,
        "saved_time": _told(line.saved),
        "saved_USD": _usd(line.saved_usd, line.saved),
        "restarts_USD": _usd(line.restarts_usd, line.saved),
        "undecided_USD": _usd(line.undecided_usd, line.undecided),
    }


def stops_frame(report: ShadowReport) -> pd.DataFrame:
    """The dearest first."""
    return _frame(
        [
            {
                "machine": each.machine.name or each.machine.native_id,
                "rule": each.rule,
                "warned": each.warned_at,
                "stopped": each.at,
                "then": _then(each),
                "saved_USD": _usd(each.saved.usd, each.saved.time),
            }
            for each in _dearest(report.replay.stops)
        ]
    )


def _dearest(stops: Sequence[ShadowStop]) -> list[ShadowStop]:
    return sorted(
        stops, key=lambda each: (each.saved.usd is None, -(each.saved.usd or Decimal(0)), each.at)
    )


def _then(stop: ShadowStop) -> str:
    if stop.ended_at is None:
        return "quiet to the end"
    after = _told(stop.ended_at - stop.at)
    if not stop.back:
        return f"stopped by others {after} later"
    return f"back {after} later{': regret' if stop.back_soon else ''}"


def held_frame(report: ShadowReport) -> pd.DataFrame:
    """What could not be decided, the dearest first."""
    return _frame(
        [
            {
                "machine": each.name or each.machine.rsplit(":", 1)[-1],
                "reason": each.reason,
                "time": _told(each.burnt.time),
                "USD": _usd(each.burnt.usd, each.burnt.time),
                "why": each.why,
            }
            for each in report.held
        ]
    )


def _frame(rows: Sequence[dict[str, object]]) -> pd.DataFrame:
    import pandas as pd  # noqa: PLC0415 - heavy, and not for --help

    return pd.DataFrame(rows)


def _usd(usd: Decimal | None, time: timedelta) -> object:
    if usd is None:
        return UNPRICED
    return _cents(usd) if time or usd else Decimal(0)


def _told(time: timedelta) -> str:
    return span(time.total_seconds() / 60)


def tables(report: ShadowReport, *, width: int | None) -> Iterator[Table]:
    """Those that have rows. `width` None: as wide as they need."""
    from watchdog.frame_table import as_table  # noqa: PLC0415 - heavy

    if not report.replay.machines:
        return
    several = (
        ("rule by rule", rules_frame(report), ("rule", "stops", "back_in 30 min", "saved_USD")),
        ("stops that would have been made", stops_frame(report), ("machine", "stopped", "then")),
        ("by workload", workloads_frame(report), ("workload", "stops", "saved_USD")),
        ("what could not be decided", held_frame(report), ("machine", "reason", "USD", "why")),
    )
    for title, frame, first in several:
        if len(frame):
            rest = len(frame) - SHOWN
            more = f" (the first {SHOWN} of {len(frame):,}; --json has all)" if rest > 0 else ""
            yield as_table(frame.head(SHOWN), title=f"{title}{more}", width=width, first=first)


def head_lines(report: ShadowReport) -> Iterator[str]:
    """How long was watched, with what holes, and the sum of it."""
    seen = report.watched
    days = seen.observed / timedelta(days=1)
    yield (
        f"Observed {days:.1f} days since {_at(seen.seen_from)}, in"
        f" {counted(len(seen.looks), 'patrol')}; {counted(report.replay.machines, 'machine')} ran."
        f" Policy: {report.policy.name}."
    )
    if report.tried_instead is not None:
        yield (
            f"Policy {report.tried_instead} never goes further than to notify, so pack"
            f" {report.policy.name} is tried; --policy FILE tries another."
        )
    yield from _gap_lines(report)
    if report.acted:
        yield f"{counted(report.acted, 'patrol')} acted: what they stopped is not in here."
    if report.policy.budgets:
        yield "Budgets are not replayed: what they would have raised to a stop is not in here."
    yield from _outcome_lines(report)


def _gap_lines(report: ShadowReport) -> Iterator[str]:
    gaps = [
        (ended - began, began, ended, scope)
        for scope, spans in report.watched.gaps.items()
        for began, ended in spans
    ]
    gaps.sort(key=lambda gap: (-gap[0], gap[1]))
    for length, began, ended, scope in gaps[:GAPS_SHOWN]:
        place = ":".join(filter(None, (scope.provider, scope.account, scope.region)))
        yield (
            f"Nobody watched {place} from {_at(began)} to {_at(ended)} ({_told(length)}):"
            " that time counts nowhere."
        )
    if len(gaps) > GAPS_SHOWN:
        yield f"{len(gaps) - GAPS_SHOWN} shorter gaps stand in --json."


def _outcome_lines(report: ShadowReport) -> Iterator[str]:
    total = report.total
    if report.judged_from is None:
        yield (
            "What was judged is remembered from this version on: let it patrol for some days, and"
            " ask again."
        )
        return
    first = report.watched.looks[0].at
    if report.judged_from > first:
        yield f"What was judged is remembered from {_at(report.judged_from)} on, not before."
    if not total.stops:
        yield "It would have stopped nothing."
        return
    saved = UNPRICED if total.saved_usd is None else f"{_cents(total.saved_usd)} USD"
    yield (
        f"It would have stopped {counted(total.stops, 'time')} and saved {saved}"
        f" ({_told(total.saved)} of machines); {total.back_soon} came back within 30 minutes."
    )
    if total.restarts_usd:
        yield (
            "Starting again what came back at all would have cost"
            f" {_cents(total.restarts_usd)} USD of that."
        )


def _at(at: datetime | None) -> str:
    return "–" if at is None else f"{at:%Y-%m-%d %H:%M} UTC"


def road_lines(report: ShadowReport, settings: Settings) -> Iterator[str]:
    """The road from here to acting: which rules, for whom first, and what is still to be set."""
    if not report.replay.machines:
        return
    yield ""
    if any(each.reason == UNMEASURED for each in report.held):
        yield "First: make visible what is unmeasured (above); no rule ever stops it."
    if any(each.reason == UNTOLD for each in report.held):
        yield "A condition that lacks a value only notifies: the why above names what is missing."
    yield (
        "A stop that acts looks again just before: at protection, host and keeps. So some of"
        " these would not have been made; every warning is taken as delivered at once."
    )
    yield "The road to acting:"
    if not report.ready:
        yield f"  policy {report.policy.name} has no rule that stops anything"
    for each in report.ready:
        yield f"  rule {each.rule}: {'ready' if each.ready else 'not yet'}: {each.why}"
    team = next((each for each in report.ready if each.team is not None), None)
    rule = None if team is None else _rule_of(report.policy, team)
    if team is not None and rule is not None:
        yield (
            f"  one team first: {clean_json(team.team_name)}; put this rule above {rule.name}, and"
            f" let {rule.name} say `then: notify`:"
        )
        for line in rule_for_a_team(rule, team).splitlines():
            yield f"    {line}"
    yield "  then set what is not set yet:"
    for done, what in _steps(report, settings):
        yield f"    [{'x' if done else ' '}] {what}"


def _rule_of(policy: Policy, ready: Ready) -> Rule | None:
    return next((rule for rule in policy.rules if rule.name == ready.rule), None)


def rule_for_a_team(rule: Rule, team: Ready) -> str:
    """The rule as an entry of a policy file that holds for one team only."""
    minutes, seconds = divmod(int(rule.grace.total_seconds()), 60)
    return "\n".join(
        (
            f"- name: {rule.name}-first",
            "  when: >-",
            f"    {team.team} == {clean_json(team.team_name)}",
            f"    && ({' '.join(rule.when.split())})",
            f"  because: {clean_json(rule.because)}",
            f"  then: {rule.then.value}",
            f"  grace: {rule.grace.total_seconds():.0f}s" if seconds else f"  grace: {minutes}m",
        )
    )


def clean_json(text: str | None) -> str:
    """A string as CEL and YAML write one; nothing in it can break out."""
    return json.dumps(text or "")


def _steps(report: ShadowReport, settings: Settings) -> Iterator[tuple[bool, str]]:
    local = "://" not in settings.ledger
    slack = settings.slack
    acts = report.tried_instead is None and report.policy.mode == "act"
    yield acts, "`mode: act` in the policy file, and `policy` naming that file"
    yield settings.act, "`patrol --act`, or `act = true`"
    yield (
        slack.token is not None and slack.channel is not None,
        "`slack.token` and `slack.channel`: a stop needs a delivered warning",
    )
    yield settings.heartbeat_url is not None, "`heartbeat_url`: who notices that it fell silent"
    yield settings.second_channel_url is not None, "`second_channel_url`: who hears of Slack's end"
    yield (
        settings.aws.stop_role is not None,
        "a role that may stop (infra/aws/stop-policy.json, `aws.stop_role`; other clouds: docs)",
    )
    if local:
        yield (
            settings.act_from_local_ledger,
            "a ledger in a bucket, or `act_from_local_ledger = true` where nobody else patrols",
        )
