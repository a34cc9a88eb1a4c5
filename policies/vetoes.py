"""Why a machine may not be stopped now: one function and one plain sentence each.

Pure, and ignorant of clouds: what is special about one arrives as `StopTerms`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from policies.facts import Machine, WorkloadKind
from policies.verdicts import QUIET, PhaseNow, Verdict, Veto

LEAST_CONFIDENCE = 0.9
"""A phase that is less sure never stops a machine: CPU alone gives 0.4, no network 0.8."""
LEAST_COVERAGE = 0.8
"""Share of the pause that must have been measured (cloud_facts §4.5: an agent, 80 %)."""
TYPED_LATELY = timedelta(minutes=30)
FOR_GOOD = datetime.max.replace(tzinfo=UTC)
"""Until when a keep lasts whose end nobody can read: unknown never raises an action."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look at one machine: all that a veto may know."""

    machine: Machine
    phase: PhaseNow
    kind: WorkloadKind
    verdict: Verdict
    now: datetime
    host_activity: tuple[str, ...] | None
    """What CPU, disk and network do, in words; empty: nothing. None: that is not known."""
    kept_until: datetime | None = None
    """Until when somebody wants to keep it, by command, button or tag; None: nobody said so."""
    kept_by: str | None = None


def _protected(look: Look) -> str | None:
    protection = look.machine.stop_terms.protected
    return None if protection is None else f"it is protected by {protection}"


def _service(look: Look) -> str | None:
    if look.kind is WorkloadKind.SERVICE:
        return "it is a service: standing ready is its work"
    return None


def _mature(look: Look) -> str | None:
    if look.verdict is Verdict.MATURE:
        return "its work is mature: whoever owns it decides"
    return None


def _uncertain(look: Look) -> str | None:
    phase = look.phase
    if phase.phase not in QUIET:
        return f"it is {phase.phase.value}, not idle"
    if phase.confidence < LEAST_CONFIDENCE:
        return f"only {phase.confidence:.0%} sure that it is {phase.phase.value}"
    if phase.coverage < LEAST_COVERAGE:
        return f"only {phase.coverage:.0%} of its pause was measured"
    return None


def _impossible(look: Look) -> str | None:
    terms = look.machine.stop_terms
    return None if terms.can_stop is True else terms.why


def _loss(look: Look) -> str | None:
    loses = look.machine.stop_terms.loses
    return f"a stop would destroy {' and '.join(loses)}" if loses else None


def _controlled(look: Look) -> str | None:
    terms = look.machine.stop_terms
    if terms.controller is None:
        return None
    advice = f": {terms.controller_advice}" if terms.controller_advice else ""
    return f"{terms.controller} owns it and would replace it{advice}"


def _prepaid(look: Look) -> str | None:
    prepaid = look.machine.stop_terms.prepaid
    if prepaid is not None:
        return f"{prepaid} is paid for already: a stop would save nothing"
    saves = look.machine.price.saves_usd
    if saves is not None and saves <= 0:
        return "its time is paid for already: a stop would save nothing"
    return None


def _unpriced(look: Look) -> str | None:
    if look.machine.price.hourly_usd is None:
        return "nobody could price it, so what a stop would save is unknown"
    return None


def _typing(look: Look) -> str | None:
    typed = look.machine.last_input_at
    if typed is None or look.now - typed >= TYPED_LATELY:
        return None
    minutes = max(0, int((look.now - typed).total_seconds() // 60))
    return f"somebody typed there {minutes} minutes ago"


def _host_at_work(look: Look) -> str | None:
    activity = look.host_activity
    if activity is None:
        return "what its CPU, disk and network do was not measured"
    return f"its GPUs are quiet, but {' and '.join(activity)}" if activity else None


def _kept(look: Look) -> str | None:
    until = look.kept_until
    if until is None or look.now >= until:
        return None
    by = f" by {look.kept_by}" if look.kept_by else ""
    if until == FOR_GOOD:
        return f"it is kept for good{by}"
    return f"it is kept until {until:%Y-%m-%d %H:%M} UTC{by}"


VETOES: tuple[tuple[str, Callable[[Look], str | None]], ...] = (
    ("protected", _protected),
    ("service", _service),
    ("mature", _mature),
    ("kept", _kept),
    ("uncertain", _uncertain),
    ("host_at_work", _host_at_work),
    ("typing", _typing),
    ("cannot_stop", _impossible),
    ("loses_data", _loss),
    ("controller", _controlled),
    ("prepaid", _prepaid),
    ("unpriced", _unpriced),
)
"""What people are told first stands first. Others follow from more than one machine or moment:
`group`, `blast_radius`, `not_warned`, `stale` and `changed`."""
NAMES = frozenset(
    {*(name for name, _ in VETOES), "group", "blast_radius", "not_warned", "stale", "changed"}
)


def can_be_overridden(veto: Veto, machine: Machine) -> bool:
    """Whether a person who names this veto may stop the machine against it.

    Not where the cloud would refuse the stop, nor where a controller would answer it with an end
    of the machine: a stop must stay a stop. Nor where the machine is another one than was judged.
    """
    match veto.name:
        case "cannot_stop":
            return machine.stop_terms.can_stop is None
        case "controller" | "changed":
            return False
        case _:
            return True


def vetoes_of(look: Look) -> tuple[Veto, ...]:
    """All that stand against a stop; none: it may be stopped once it was warned."""
    told = ((name, veto(look)) for name, veto in VETOES)
    return tuple(Veto(name=name, why=why) for name, why in told if why is not None)


def stale(phase: PhaseNow, *, warned_at: datetime, now: datetime, period: timedelta) -> str | None:
    """Why what was measured says nothing of the time since the warning; None: it does.

    `period`: how long the newest interval is. It must be younger than two of them, and reach
    beyond the warning: else somebody may have come back to work since.
    """
    newest = phase.measured_until
    if newest is None:
        return "nothing was measured"
    if newest <= warned_at:
        return f"nothing was measured since the warning at {warned_at:%H:%M} UTC"
    if now - newest > 2 * period:
        return f"the newest measurement ended at {newest:%H:%M} UTC"
    return None
