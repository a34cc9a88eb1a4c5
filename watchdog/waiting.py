"""How long to wait for the next activity of each quiet machine, from the pauses of past runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from policies.facts import Attribution, Machine, Run, WorkloadKey
from policies.patience import Patience, patience
from policies.pauses import habits_of
from policies.verdicts import QUIET, Phase, PhaseNow, Verdict
from watchdog.timekeeping import Accounted


class Waiting:
    """The habits of a fleet, and what they say of one machine."""

    def __init__(
        self,
        runs: Sequence[Run],
        restart_cost: timedelta | Decimal,
        now: datetime,
        *,
        stops: Sequence[tuple[WorkloadKey | None, bool]] = (),
    ) -> None:
        """`stops`: whose each of ours was, and whether it was undone: that lengthens patience."""
        self._habits = habits_of(runs, as_of=now)
        for key, undone in stops:
            self._habits.habits.stopped(key, regretted=undone)
        self._restart_cost = restart_cost

    def patience(
        self, each: Accounted, attribution: Attribution, verdict: Verdict
    ) -> Patience | None:
        """None where it is not quiet, where nobody knows, and where dollars meet no price."""
        phase = each.timeline.now
        lasted_s = 0.0 if phase.quiet_since is None else activity_s(each, phase.quiet_since)
        return self.lasting(each.machine, phase, attribution.key, verdict, lasted_s)

    def lasting(
        self,
        machine: Machine,
        phase: PhaseNow,
        key: WorkloadKey | None,
        verdict: Verdict,
        lasted_s: float,
    ) -> Patience | None:
        """The same of a pause that is known. `lasted_s`: how long the activity before it lasted."""
        minutes = phase.idle_minutes()
        if phase.phase not in QUIET or phase.quiet_since is None or minutes is None:
            return None
        return patience(
            self._habits.habits,
            self._habits.before(key, phase.quiet_since, lasted_s),
            quiet=timedelta(minutes=minutes),
            restart_cost=self._restart_cost,
            hourly_usd=machine.price.hourly_usd,
            verdict=verdict,
        )


def activity_s(each: Accounted, quiet_since: datetime) -> float:
    """How long the last activity before the pause lasted; 0 where none was seen."""
    active = [
        stretch
        for stretch in each.timeline.stretches
        if stretch.phase is Phase.ACTIVE and stretch.ended_at <= quiet_since
    ]
    if not active:
        return 0.0
    return (active[-1].ended_at - active[-1].started_at).total_seconds()
