"""The patrol report in the shape that others script against: `spend-watchdog/patrol/1`."""

from dataclasses import asdict

from policies.facts import Gap, Machine
from policies.leftovers import cannot_be_stopped
from policies.verdicts import Outcome
from watchdog.confusion_shown import confusion_json
from watchdog.json_values import moment, money
from watchdog.notice import Notice
from watchdog.patrol_report import (
    AttributedStorage,
    BackfillLine,
    JudgedMachine,
    MeteredEgress,
    PatrolReport,
    found_in,
)
from watchdog.verdict_changes import VerdictChange

SCHEMA = "spend-watchdog/patrol/1"


def patrol_json(report: PatrolReport) -> dict[str, object]:
    """Money is a decimal string, and `null` where unknown; times are RFC 3339 in UTC."""
    watching = report.cost_of_watching
    return {
        "schema": SCHEMA,
        "at": moment(report.at),
        "mode": report.mode,
        "patrol_id": report.patrol_id,
        "machines": [_machine(each) for each in report.machines],
        "storage": [_storage(each) for each in report.storage],
        "egress": [_egress(each) for each in report.egress],
        "gaps": [_gap(each) for each in report.gaps],
        "watched": [asdict(scope) for scope in report.watched],
        "outcomes": [_outcome(each) for each in report.outcomes],
        "confusion": [
            {"workload": each.finding.key.name, "group": each.finding.key.group}
            | confusion_json(each)
            for each in found_in(report.machines)
        ],
        "notices": [_notice(each, told=each in report.news) for each in report.notices],
        "verdict_changes": [_verdict_change(each) for each in report.verdict_changes],
        "backfill": {
            "from": moment(report.backfilled_from),
            "machines": [_backfill(each) for each in report.backfill],
        },
        "cost_of_watching": {
            "api_calls": dict(sorted(watching.api_calls.items())),
            "usd": money(watching.usd),
            "seconds": round(watching.seconds, 3),
        },
    }


def _machine(each: JudgedMachine) -> dict[str, object]:
    machine, phase, decision = each.machine, each.phase, each.decision
    return {
        **_identity(machine),
        "owner": each.attribution.owner,
        "workload": each.attribution.workload,
        "kind": each.attribution.kind.value,
        "attributed_by": each.attribution.rule,
        "phase": phase.phase.value,
        "idle_minutes": each.idle_minutes,
        "confidence": phase.confidence,
        "coverage": phase.coverage,
        "measured_by": phase.source,
        "hourly_cost_usd": money(machine.price.hourly_usd),
        "price_basis": machine.price.basis,
        "price_source": machine.price.source,
        "price_as_of": machine.price.as_of,
        "price_why": machine.price.why,
        "saves_usd": money(machine.price.saves_usd),
        "stopped_hourly_usd": money(machine.price.stopped_hourly_usd),
        "stopped_since": moment(each.stopped_since),
        "cannot_be_stopped": list(cannot_be_stopped(machine)) if machine.running else [],
        "verdict": each.maturity.verdict.value,
        "score": each.maturity.score,
        "decision": decision.wanted.value,
        "why": list(decision.why),
        "vetoes": [{"name": veto.name, "why": veto.why} for veto in decision.vetoes],
    }


def _identity(machine: Machine) -> dict[str, object]:
    return {
        "id": machine.id,
        "provider": machine.provider,
        "account": machine.account,
        "region": machine.region,
        "zone": machine.zone,
        "name": machine.name,
        "group": machine.group,
        "machine_type": machine.machine_type,
        "state": machine.state.value,
        "gpus": machine.gpus,
        "gpu_model": machine.gpu_model,
        "purchase": machine.purchase.value,
        "controller": machine.stop_terms.controller,
        "started_at": moment(machine.started_at),
    }


def _storage(each: AttributedStorage) -> dict[str, object]:
    storage = each.storage
    return {
        "id": storage.id,
        "kind": storage.kind,
        "name": storage.name,
        "workload": each.attribution.workload,
        "attributed_by": each.attribution.rule,
        "size_bytes": storage.size_bytes,
        "monthly_cost_usd": money(storage.monthly_cost_usd),
        "attached_to": storage.attached_to,
        "unattached_since": moment(storage.unattached_since),
        "created_at": moment(storage.created_at),
        "why": [*storage.why, *storage.asides],
    }


def _egress(each: MeteredEgress) -> dict[str, object]:
    meter = each.meter
    return {
        "id": meter.id,
        "kind": meter.kind,
        "workload": each.attribution.workload,
        "attributed_by": each.attribution.rule,
        "bytes": meter.bytes,
        "from": moment(meter.started_at),
        "until": moment(meter.ended_at),
        "scope": meter.scope,
        "cost_usd": money(meter.cost_usd),
        "why": list(meter.why),
    }


def _gap(gap: Gap) -> dict[str, object]:
    return {
        "provider": gap.provider,
        "account": gap.account,
        "region": gap.region,
        "what": gap.what,
        "why": gap.why,
        "resource": gap.resource,
    }


def _outcome(outcome: Outcome) -> dict[str, object]:
    return {
        "machine": outcome.machine,
        "action": outcome.action,
        "result": outcome.result.value,
        "why": outcome.why,
    }


def _notice(notice: Notice, *, told: bool) -> dict[str, object]:
    return {
        "kind": notice.kind,
        "name": notice.name,
        "machine": None if notice.machine is None else notice.machine.id,
        "month_usd": money(notice.month_usd),
        "since": moment(notice.since),
        "text": notice.text,
        "told_now": told,
    }


def _verdict_change(change: VerdictChange) -> dict[str, object]:
    return {
        "workload": change.key.name,
        "group": change.key.group,
        "from": change.before.value,
        "to": change.now.value,
        "at": moment(change.at),
        "score": change.score,
        "why": change.why,
    }


def _backfill(line: BackfillLine) -> dict[str, object]:
    return {
        "machine": line.machine,
        "name": line.name,
        "workload": line.workload,
        "idle_hours": round(line.idle_hours, 3),
        "idle_usd": money(line.idle_usd),
        "unmeasured_hours": round(line.unmeasured_hours, 3),
        "unmeasured_usd": money(line.unmeasured_usd),
        "total_hours": round(line.total_hours, 3),
        "total_usd": money(line.total_usd),
        "advice": line.advice,
    }
