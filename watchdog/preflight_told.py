"""A preflight for programs and for people."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from policies.next_run import HEAD_ROOM, NextRun
from watchdog.bursts import burst_told
from watchdog.explain import scope_told
from watchdog.home_cards import HomeCards, fit_told, unknown_need
from watchdog.json_values import moment, money
from watchdog.preflight import Choice, Preflight
from watchdog.workloads import workload_json

SCHEMA = "spend-watchdog/preflight/1"
MINUTE_S, HOUR_S = 60.0, 3600.0


def preflight_json(told: Preflight) -> dict[str, object]:
    """The figures of `workloads --json`, and what a launch needs beside them."""
    row = workload_json(told.workload)
    first = told.choices[0] if told.choices else None
    return {
        "schema": SCHEMA,
        "at": moment(told.at),
        "may_leave": told.may_leave,
        "why": [told_in_one(told), *told.against],
        **{name: value for name, value in row.items() if name != "spent_7d"},
        "data": {
            "classes": list(told.data.classes),
            "may_leave": told.data.may_leave,
            "why": told.data.why,
        },
        "memory": _memory_json(told.need),
        "asked_machine_type": told.asked,
        "machine": None if first is None else _choice_json(first, told.need),
        "machine_why": told.no_choice,
        "alternatives": [_choice_json(each, told.need) for each in told.choices[1:]],
        "home": [_home_json(each, told.need) for each in told.home],
        "next_run": _next_run_json(told),
    }


def _memory_json(need: NextRun) -> dict[str, object]:
    return {
        "peak_gpu_memory_mib": need.peak_mib,
        "runs": need.peaks,
        "needs_mib": None if need.needs_mib is None else round(need.needs_mib, 1),
        "gpus": need.gpus,
        "nodes": need.nodes,
        "ran_out": need.ran_out,
        "fills_its_card": need.fills_card,
    }


def _choice_json(each: Choice, need: NextRun) -> dict[str, object]:
    machine = each.machine
    return {
        "provider": machine.provider,
        "region": machine.region,
        "machine_type": machine.machine_type,
        "machines": need.nodes,
        "gpus": machine.gpus,
        "gpu_model": machine.gpu_model,
        "gpu_memory_mib": machine.gpu_memory_mib,
        "fits": each.fits,
        "in_proven_scope": each.in_scope,
        "hourly_usd": money(machine.price.hourly_usd),
        "price_source": machine.price.source,
        "price_as_of": machine.price.as_of,
        "price_why": machine.price.why,
    }


def _home_json(cards: HomeCards, need: NextRun) -> dict[str, object]:
    return {
        "where": cards.where,
        "gpu_model": cards.model,
        "gpus": cards.gpus,
        "gpu_memory_mib": cards.memory_mib,
        "seen_by": cards.seen_by,
        "fits": need.fits(cards.gpus, cards.memory_mib),
        "why": fit_told(cards, need),
    }


def _next_run_json(told: Preflight) -> dict[str, object]:
    spread, cost, score = told.need.duration, told.cost, told.workload.maturity.score
    failure_s = told.need.failure_s
    return {
        "minutes": {
            "low": None if spread is None else round(spread.low_s / MINUTE_S, 2),
            "likely": None if spread is None else round(spread.median_s / MINUTE_S, 2),
            "high": None if spread is None else round(spread.high_s / MINUTE_S, 2),
            "runs": told.need.timed,
        },
        "cost_usd": {
            "low": money(cost.low_usd),
            "likely": money(cost.likely_usd),
            "high": money(cost.high_usd),
        },
        "failure": {
            "chance": None if score is None else round(1 - score, 4),
            "minutes": None if failure_s is None else round(failure_s / MINUTE_S, 2),
            "cost_usd": money(cost.failure_usd),
        },
        "why": cost.why,
    }


def told_in_one(told: Preflight) -> str:
    """The answer in one sentence."""
    maturity = told.workload.maturity
    odds = "" if maturity.score is None else f", {maturity.score:.0%} likely to complete"
    judged = f"{told.workload.key} is {maturity.verdict.value}{odds}"
    if maturity.score is None:
        judged = f"the maturity of {told.workload.key} is unknown"
    match told.may_leave:
        case True:
            return f"yes: {judged}"
        case False:
            return f"no: {judged}"
        case None:
            return f"unknown: {judged}"


def lines(told: Preflight) -> list[str]:
    return [
        f"May it leave home? {told_in_one(told)}.",
        *(f"  against it: {each}" for each in told.against),
        *_unknown_lines(told),
        *_maturity_lines(told),
        f"Data: {told.data.why}.",
        f"Memory: {_memory_told(told.need)}.",
        *_machine_lines(told),
        *(f"At home: {fit_told(each, told.need)}." for each in told.home),
        *_cost_lines(told),
        *([] if told.workload.burst is None else [burst_told(told.workload.burst)]),
    ]


def _unknown_lines(told: Preflight) -> Iterator[str]:
    if told.may_leave is None and told.no_choice is not None and told.asked is not None:
        yield f"  unknown: {told.no_choice}"
    if told.may_leave is None and told.data.may_leave is None and told.data.must_be_known:
        yield f"  unknown: {told.data.why}"


def _maturity_lines(told: Preflight) -> Iterator[str]:
    maturity = told.workload.maturity
    for question, evidence in maturity.questions.items():
        yield f"  {question.value}: {evidence.answer.value} – {evidence.evidence}"
    yield f"  proven scope: {scope_told(maturity)}"
    if maturity.missing:
        yield "  still missing:"
    for missing in maturity.missing:
        yield f"  - {missing}"


def _memory_told(need: NextRun) -> str:
    if need.peak_mib is None or need.needs_mib is None:
        return unknown_need(need)
    runs = "1 recent run" if need.peaks == 1 else f"the newest {need.peaks} runs that tell it"
    told = (
        f"at most {need.peak_mib / 1024:.1f} GiB on one GPU in {runs};"
        f" {need.needs_mib / 1024:.1f} GiB with {HEAD_ROOM:.0%} head-room"
    )
    if need.ran_out:
        told += "; a recent run ran out of memory"
    if need.fills_card:
        told += "; it fills its card, so a framework may have reserved what is not needed"
    gpus = "an unknown number of GPUs" if need.gpus is None else f"{need.gpus} GPUs"
    return f"{told}; {'1 GPU' if need.gpus == 1 else gpus}{_nodes(need)}"


def _nodes(need: NextRun) -> str:
    return "" if need.nodes == 1 else f" on {need.nodes} machines"


def _machine_lines(told: Preflight) -> Iterator[str]:
    if told.no_choice is not None:
        yield f"Machine: unknown: {told.no_choice}."
    for number, each in enumerate(told.choices):
        word = "Asked about" if told.asked else "Smallest machine that fits" if not number else "Or"
        yield f"{word}: {_choice_told(each, told.need)}."


def _choice_told(each: Choice, need: NextRun) -> str:
    machine = each.machine
    size = machine.gpu_memory_mib
    memory = "memory unknown" if size is None else f"{size / 1024:.1f} GiB each"
    fits = {True: "it fits", False: "it does not fit", None: f"fit unknown: {unknown_need(need)}"}
    many = "" if need.nodes == 1 else f"{need.nodes} × "
    return (
        f"{many}{machine.machine_type} ({machine.provider}), {machine.gpus} × {machine.gpu_model}"
        f" of {memory}, {_price(each)}; {fits[each.fits]}"
    )


def _price(each: Choice) -> str:
    price, region = each.machine.price, each.machine.region
    if price.hourly_usd is None:
        return f"price unknown ({price.why})"
    return f"{price.hourly_usd:.4f} USD an hour in {region} ({price.source}, {price.as_of})"


def _cost_lines(told: Preflight) -> Iterator[str]:
    spread, cost = told.need.duration, told.cost
    if spread is None:
        yield f"Next run: duration unknown: {told.need.timed} of at least 3 successes tell it."
    else:
        hours = (
            f"{_hours(spread.low_s)} to {_hours(spread.high_s)}, likely {_hours(spread.median_s)}"
        )
        yield f"Next run: {hours} ({spread.runs} successes); {_dollars(told)}."
    if cost.failure_usd is not None and told.need.failure_s is not None:
        score = told.workload.maturity.score
        chance = "" if score is None else f" ({1 - score:.0%} likely)"
        after = _hours(told.need.failure_s)
        yield f"A failure{chance} costs {_usd(cost.failure_usd)}: half of them come by {after}."


def _dollars(told: Preflight) -> str:
    cost = told.cost
    if cost.low_usd is None or cost.high_usd is None or cost.likely_usd is None:
        return f"its cost is unknown: {cost.why}"
    machine = told.choices[0].machine
    other = told.need.gpu_model
    measured = "" if other in {None, machine.gpu_model} else f", as fast as on {other}"
    return (
        f"{_usd(cost.low_usd)} to {_usd(cost.high_usd)}, likely {_usd(cost.likely_usd)}"
        f" on {machine.machine_type}{measured}, without its own start and the data's way there"
    )


def _usd(amount: Decimal) -> str:
    return f"{amount:,.2f} USD"


def _hours(seconds: float) -> str:
    if seconds < HOUR_S:
        return f"{seconds / MINUTE_S:.1f} min"
    return f"{seconds / HOUR_S:.1f} h"
