"""What a stop would save where something is paid whether or not machines run. Pure.

Only what is certain becomes a figure: zero where commitments cover everything that could use them,
the list price where there is none; in between it is unknown, and a sentence says why. Rules: "How
Reserved Instances are applied" (EC2 User Guide) and "Understanding how Savings Plans apply"
(Savings Plans User Guide). Other accounts of an organisation may share what is seen of one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from policies.facts import Machine, Purchase
from providers.price_facts import Commitment, CommitmentKind, family_of

Kin = tuple[str, str, str]
"""Account, region and family of a machine."""
NOT_COVERED = frozenset({Purchase.SPOT, Purchase.CAPACITY_BLOCK, Purchase.SCHEDULED})
"""Machines whose hours no reserved instance and no savings plan pays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opinion:
    """What commitments of one kind mean for a machine."""

    covered: bool
    why: str


def with_savings(
    machine: Machine,
    beside: Sequence[Machine],
    commitments: Iterable[Commitment],
    unread: Sequence[str],
    now: datetime,
) -> Machine:
    """The machine with what a stop saves, and why.

    `beside`: all machines that compete for the same commitments, itself included. `unread`:
    commitments that could not be read, in words.
    """
    valid = [each for each in commitments if each.ends_at is None or each.ends_at > now]
    if machine.stop_terms.prepaid is not None:
        return _explained(machine, valid)
    if not may_be_covered(machine) or machine.price.hourly_usd is None:
        return machine
    told = (_reserved(machine, beside, valid), _plans(machine, beside, valid))
    opinions = [each for each in told if each is not None]
    certain = next((each for each in opinions if each.covered), None)
    if certain is not None:
        terms = replace(machine.stop_terms, prepaid=certain.why)
        return replace(_told(machine, Decimal(0), [certain.why]), stop_terms=terms)
    if unread:
        why = f"what a stop saves is not known: {' and '.join(unread)} could not be read"
        return _told(machine, None, [why, *(each.why for each in opinions)])
    if opinions:
        return _told(machine, None, [each.why for each in opinions])
    return machine


def may_be_covered(machine: Machine) -> bool:
    """Whether it runs, and its hours are such as reserved instances and savings plans pay."""
    return bool(machine.metered) and machine.purchase not in NOT_COVERED


def kin(machine: Machine) -> Kin:
    """What machines have in common that compete for the same commitments."""
    return machine.account, machine.region, family_of(machine.machine_type)


def by_kin(machines: Iterable[Machine]) -> Mapping[Kin, Sequence[Machine]]:
    """Those whose hours commitments may pay, by which others compete for them."""
    found: dict[Kin, list[Machine]] = defaultdict(list)
    for each in machines:
        if may_be_covered(each):
            found[kin(each)].append(each)
    return found


def _told(machine: Machine, saves_usd: Decimal | None, whys: Sequence[str]) -> Machine:
    why = "; ".join([*whys, *filter(None, (machine.price.why,))])
    return replace(machine, price=replace(machine.price, saves_usd=saves_usd, why=why))


def _explained(machine: Machine, commitments: Iterable[Commitment]) -> Machine:
    """A reservation that its machine names, with what it is: how much of what, until when."""
    prepaid = str(machine.stop_terms.prepaid)
    for each in commitments:
        if prepaid.endswith(f" {each.id}"):
            end = "no end" if each.ends_at is None else f"until {each.ends_at:%Y-%m-%d %H:%M} UTC"
            told = f"{prepaid}, {each.machines} of {each.machine_type}, {end}"
            return replace(machine, stop_terms=replace(machine.stop_terms, prepaid=told))
    return machine


def _reserved(
    machine: Machine, running: Sequence[Machine], commitments: Iterable[Commitment]
) -> _Opinion | None:
    """Certain where what a stop sets free fits no other running machine.

    A zonal reservation covers its type in its zone, a regional one its type everywhere; one for
    Linux may cover parts of other sizes, too, so then the whole family has to be covered.
    """
    family = family_of(machine.machine_type)
    reserved = [each for each in commitments if _reserves_family(each, machine)]
    mine = [each for each in reserved if _may_cover(each, machine)]
    if not mine:
        return None
    count = sum(each.machines or 0 for each in mine)
    alike = [each for each in running if each.operating_system == machine.operating_system]
    types = Counter((each.zone, each.machine_type) for each in alike)
    zonal = Counter[tuple[str | None, str]]()
    regional = Counter[str]()
    for each in reserved:
        if each.zone is None:
            regional[str(each.machine_type)] += each.machines or 0
        else:
            zonal[each.zone, str(each.machine_type)] += each.machines or 0
    left = Counter[str]()
    for (zone, machine_type), number in types.items():
        left[machine_type] += max(0, number - zonal[zone, machine_type])
    place = (machine.zone, machine.machine_type)
    in_zone = 0 < types[place] <= zonal[place]
    of_type = left[machine.machine_type] <= regional[machine.machine_type]
    of_family = all(left[machine_type] <= regional[machine_type] for machine_type in left)
    flexible = any(each.every_size for each in mine)
    what = f"reserved instances for {count} {family} machines"
    if in_zone or (of_type and (of_family or not flexible)):
        return _Opinion(covered=True, why=f"{what}, which cover what runs")
    why = (
        f"{what} cover a part of the {len(alike)} that run:"
        " a stop saves nothing as long as another one takes its place among them"
    )
    return _Opinion(covered=False, why=why)


def _reserves_family(each: Commitment, machine: Machine) -> bool:
    return (
        each.kind is CommitmentKind.RESERVED_INSTANCES
        and bool(each.machines)
        and each.region == machine.region
        and each.operating_system == machine.operating_system
        and each.family == family_of(machine.machine_type)
    )


def _may_cover(each: Commitment, machine: Machine) -> bool:
    """Whether it, of the same family, covers this machine or a part of it."""
    in_reach = each.zone in {None, machine.zone}
    return in_reach and (each.every_size or each.machine_type == machine.machine_type)


def _plans(
    machine: Machine, running: Sequence[Machine], commitments: Iterable[Commitment]
) -> _Opinion | None:
    """Certain only for a plan of this family, where the list price of all that runs fits in it.

    Its own rates are lower than the list's. A plan for any machine also pays what is not seen here.
    """
    family = family_of(machine.machine_type)
    mine = [
        each
        for each in commitments
        if each.kind is CommitmentKind.SAVINGS_PLAN
        and each.family in {None, family}
        and each.region in {None, machine.region}
    ]
    if not mine:
        return None
    of_family = [each for each in mine if each.family is not None]
    cost = _sum(each.price.hourly_usd for each in running)
    committed = _sum(each.hourly_usd for each in of_family)
    total = _sum(each.hourly_usd for each in mine)
    amount = "savings plans" if total is None else f"savings plans of {total:f} USD an hour"
    if of_family and cost is not None and committed is not None and cost <= committed:
        why = f"savings plans of {committed:f} USD an hour for {family}, which cover what runs"
        return _Opinion(covered=True, why=why)
    why = f"{amount} are paid anyway: what a stop saves depends on what else uses them"
    return _Opinion(covered=False, why=why)


def _sum(amounts: Iterable[Decimal | None]) -> Decimal | None:
    told = list(amounts)
    known = [usd for usd in told if usd is not None]
    return sum(known, Decimal(0)) if len(known) == len(told) else None
