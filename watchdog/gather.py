"""Step one of a patrol: ask every provider at once; what cannot be seen becomes a gap."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Protocol, TypeVar

from policies.facts import Gap, Machine, Price, Reading, Scope, Storage, Transition, Window
from providers.base import (
    Inventory,
    ListsStorage,
    Prices,
    ReadsLifecycle,
    ReadsUsage,
    Seen,
    StorageAsked,
    TellsNoStarts,
)
from watchdog.choosing_sources import most_trusted
from watchdog.costs.prices_over_time import PriceStep
from watchdog.costs.running_time import hour_of
from watchdog.debts import settled, to_ask

PERIOD_S = 300
COARSE_S = 3600
LOOK_BACK = timedelta(hours=3)
"""Each patrol reads and meters the last hours again, so that a late metric finds its place."""
FINE_AT_MOST = timedelta(hours=24)
"""After a silence of more than a day the older part is read by the hour."""
BACKFILL = timedelta(days=14)

T = TypeVar("T")
Progress = Callable[[str], None]
NINE = 9
NANO = Decimal(1).scaleb(-NINE)


class Monitoring(Protocol):
    """A source of readings that knows machines of every provider, such as Prometheus."""

    @property
    def name(self) -> str: ...

    def readings(
        self, machines: Sequence[Machine], window: Window, *, beside: Sequence[Machine]
    ) -> Seen[Reading]:
        """Readings of these machines; `beside`: all machines that a label may mean as well."""

    def api_calls(self) -> Mapping[str, int]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """What is read of one scope: the last hours finely, and what nobody watched coarsely."""

    fine: Window
    coarse: Window | None
    remetered_from: datetime | None = None
    """Where older time is metered again because its starts and stops came late; its readings are
    not asked for again."""

    @property
    def started_at(self) -> datetime:
        return self.missed_from or self.fine.started_at

    @property
    def missed_from(self) -> datetime | None:
        """From when on earlier patrols lacked something; None: they lacked nothing."""
        if self.remetered_from is not None or self.coarse is None:
            return self.remetered_from
        return self.coarse.started_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """One scope and the time that was seen of it."""

    scope: Scope
    windows: Windows
    history_owed: Window | None = None
    """The time whose starts and stops are still not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """Everything that the providers told in one pass."""

    machines: tuple[Machine, ...]
    readings: tuple[Reading, ...]
    transitions: tuple[Transition, ...]
    gaps: tuple[Gap, ...]
    watched: tuple[Watched, ...]
    api_calls: Mapping[str, int]
    advice: Mapping[str, str]
    """By provider, the one line that makes an unmeasured machine visible."""
    watching_usd: Decimal | None
    measured_by: Mapping[str, str] = field(default_factory=dict)
    """By machine, one sentence on which source was believed, where there was a choice."""
    storage: tuple[Storage, ...] = ()
    storage_whole: tuple[Scope, ...] = ()
    """The scopes whose storage was listed whole."""
    market_prices: Mapping[str, tuple[PriceStep, ...]] = field(default_factory=dict)
    """By machine, its prices over time, where a market makes them."""


def windows_at(now: datetime, watched_until: datetime | None, backfill: timedelta) -> Windows:
    """What to read of a scope that was watched until then; None: never.

    All windows begin on a clock hour, because an hour is metered as a whole.
    """
    end = now - timedelta(seconds=now.timestamp() % PERIOD_S)
    fine_from = hour_of(now - LOOK_BACK)
    if watched_until is None:
        return _windows(hour_of(now - backfill), fine_from, end)
    missed_from = min(fine_from, hour_of(watched_until - timedelta(hours=1)))
    fine_from = max(missed_from, hour_of(now - FINE_AT_MOST))
    return _windows(max(missed_from, hour_of(now - backfill)), fine_from, end)


def gather(
    providers: Sequence[Inventory],
    *,
    now: datetime,
    watched_until: Callable[[Scope], datetime | None],
    backfill: timedelta = BACKFILL,
    progress: Progress = lambda _: None,
    monitoring: Monitoring | None = None,
    history_owed: Callable[[Scope], Window | None] = lambda _: None,
    storage: StorageAsked | None = None,
) -> Gathered:
    """Ask all providers side by side. One that breaks is a gap, and the others still come.

    `monitoring` is asked after them, because only then is it known what a label may mean.
    `history_owed`: of which time earlier patrols could not read a scope's starts and stops.
    `storage`: what a listing of storage should know; None: storage is not looked at.
    """
    oldest = hour_of(now - max(backfill, BACKFILL))
    wanted = _Wanted(
        windows=lambda scope: windows_at(now, watched_until(scope), backfill),
        history=lambda each: to_ask(each.windows, history_owed(each.scope), oldest),
        storage=storage,
    )

    def ask(provider: Inventory) -> Gathered:
        return _asked(provider, wanted, progress)

    with ThreadPoolExecutor(max_workers=max(1, len(providers))) as pool:
        parts = list(pool.map(ask, providers))
    gathered = Gathered(
        machines=tuple(each for part in parts for each in part.machines),
        readings=tuple(each for part in parts for each in part.readings),
        transitions=tuple(each for part in parts for each in part.transitions),
        gaps=tuple(each for part in parts for each in part.gaps),
        watched=tuple(each for part in parts for each in part.watched),
        api_calls={call: count for part in parts for call, count in part.api_calls.items()},
        advice={name: text for part in parts for name, text in part.advice.items()},
        watching_usd=_total(part.watching_usd for part in parts),
        storage=tuple(each for part in parts for each in part.storage),
        storage_whole=tuple(each for part in parts for each in part.storage_whole),
    )
    return gathered if monitoring is None else _monitored(gathered, monitoring, progress)


def _monitored(gathered: Gathered, monitoring: Monitoring, progress: Progress) -> Gathered:
    """With what the monitoring measured, wherever that is to be trusted more."""
    progress(f"{monitoring.name}: reading {len(gathered.machines)} machines")
    seen = _read(monitoring, gathered)
    chosen = most_trusted((*gathered.readings, *seen.values), gathered.machines)
    return replace(
        gathered,
        readings=chosen.readings,
        gaps=(*gathered.gaps, *seen.gaps),
        api_calls={**gathered.api_calls, **monitoring.api_calls()},
        measured_by=chosen.told,
    )


def _read(monitoring: Monitoring, gathered: Gathered) -> Seen[Reading]:
    parts = []
    for window, several in _by_window(gathered.machines, gathered.watched).items():
        beside = [each for each in gathered.machines if each.may_have_run_since(window.started_at)]
        ask = partial(monitoring.readings, several, window, beside=beside)
        parts.append(guarded(monitoring, "GPU metrics", ask))
    return _together(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What every provider is asked for."""

    windows: Callable[[Scope], Windows]
    history: Callable[[Watched], Window | None]
    """Of which time the starts and stops; None: of none."""
    storage: StorageAsked | None


def _asked(provider: Inventory, wanted: _Wanted, progress: Progress) -> Gathered:
    progress(f"{provider.name}: looking for machines")
    seen = guarded(provider, "machines", provider.machines)
    machines = tuple(_priced(provider, machine) for machine in seen.values)
    watched = tuple(Watched(scope=scope, windows=wanted.windows(scope)) for scope in seen.scopes)
    progress(f"{provider.name}: reading {len(machines)} machines")
    with ThreadPoolExecutor(max_workers=2) as beside:
        listing = beside.submit(_storage, provider, wanted.storage)
        reading = beside.submit(_usage, provider, machines, watched)
        history, owing = _history(provider, machines, watched, _plan(provider, wanted))
        usage = reading.result()
        stored = listing.result()
    return Gathered(
        machines=machines,
        readings=usage.values,
        transitions=history.values,
        gaps=(*seen.gaps, *usage.gaps, *history.gaps, *stored.gaps),
        watched=owing,
        api_calls=dict(provider.api_calls()),
        advice={provider.name: provider.how_to_measure} if isinstance(provider, ReadsUsage) else {},
        watching_usd=provider.watching_usd(),
        storage=stored.values,
        storage_whole=stored.scopes,
    )


def _plan(provider: Inventory, wanted: _Wanted) -> Callable[[Watched], Window | None]:
    """Of which time its starts and stops are asked for."""
    if not isinstance(provider, TellsNoStarts):
        return wanted.history

    def with_the_last_hours(each: Watched) -> Window:
        asked, fine = wanted.history(each), each.windows.fine
        return (
            fine if asked is None else replace(asked, ended_at=max(asked.ended_at, fine.ended_at))
        )

    return with_the_last_hours


def _total(amounts: Iterable[Decimal | None]) -> Decimal | None:
    """A sum of which one part is unknown is unknown."""
    told = list(amounts)
    known = [amount for amount in told if amount is not None]
    return sum(known, Decimal(0)) if len(known) == len(told) else None


def _priced(provider: Inventory, machine: Machine) -> Machine:
    if not isinstance(provider, Prices):
        return machine
    return replace(machine, price=rounded(provider.price(machine)))


def rounded(price: Price) -> Price:
    """Money is kept to nine places; some catalogues tell more."""
    amounts = {
        name: amount.quantize(NANO)
        for name in ("hourly_usd", "saves_usd", "stopped_hourly_usd")
        if (amount := getattr(price, name)) is not None and amount.as_tuple().exponent < -NINE
    }
    return replace(price, **amounts)


def _usage(
    provider: Inventory, machines: Sequence[Machine], watched: Sequence[Watched]
) -> Seen[Reading]:
    """Readings of every machine whose meter ran in its scope's windows."""
    if not isinstance(provider, ReadsUsage):
        return Seen()
    parts = [
        guarded(provider, "GPU metrics", partial(provider.readings, several, window))
        for window, several in _by_window(machines, watched).items()
    ]
    return _together(parts)


def _by_window(
    machines: Sequence[Machine], watched: Sequence[Watched]
) -> dict[Window, list[Machine]]:
    """The machines whose meter may have run in each window, the coarse one first."""
    asked: dict[Window, list[Machine]] = defaultdict(list)
    for machine, each in _in_scopes(machines, watched):
        for window in (each.windows.coarse, each.windows.fine):
            if window is not None and machine.may_have_run_since(window.started_at):
                asked[window].append(machine)
    return asked


def _storage(provider: Inventory, asked: StorageAsked | None) -> Seen[Storage]:
    if asked is None or not isinstance(provider, ListsStorage):
        return Seen()
    return guarded(provider, "storage", partial(provider.storage, asked))


def _together(parts: Sequence[Seen[Reading]]) -> Seen[Reading]:
    return Seen(
        values=tuple(reading for part in parts for reading in part.values),
        gaps=tuple(dict.fromkeys(gap for part in parts for gap in part.gaps)),
    )


def _history(
    provider: Inventory,
    machines: Sequence[Machine],
    watched: tuple[Watched, ...],
    plan: Callable[[Watched], Window | None],
) -> tuple[Seen[Transition], tuple[Watched, ...]]:
    """Starts and stops of the times that `plan` tells, and what of them is owed from now on."""
    if not isinstance(provider, ReadsLifecycle):
        return Seen(), watched
    asked: dict[Window, list[Machine]] = defaultdict(list)
    asked_of: dict[Scope, Window] = {}
    for machine, each in _in_scopes(machines, watched):
        window = plan(each)
        if window is not None:
            asked[window].append(machine)
            asked_of[each.scope] = window
    parts = [
        guarded(provider, "start and stop history", partial(provider.transitions, several, window))
        for window, several in asked.items()
    ]
    seen = Seen(
        values=tuple(each for part in parts for each in part.values),
        gaps=tuple(gap for part in parts for gap in part.gaps),
        unread=tuple(each for part in parts for each in part.unread),
    )
    return seen, tuple(
        settled(each, asked_of[each.scope], seen) if each.scope in asked_of else each
        for each in watched
    )


def guarded(provider: Inventory | Monitoring, what: str, ask: Callable[[], Seen[T]]) -> Seen[T]:
    """An adapter reports gaps itself; what still breaks out of it must not end the patrol."""
    try:
        return ask()
    except Exception as error:  # noqa: BLE001 - whatever it was, it is told and nothing is hidden
        why = f"the {provider.name} adapter broke: {type(error).__name__}: {error}"
        return Seen(gaps=(Gap(provider=provider.name, what=what, why=why),))


def _in_scopes(
    machines: Sequence[Machine], watched: Sequence[Watched]
) -> list[tuple[Machine, Watched]]:
    by_place = {(each.scope.account, each.scope.region): each for each in watched}
    found = []
    for machine in machines:
        each = by_place.get((machine.account, machine.region))
        if each is not None:
            found.append((machine, each))
    return found


def _windows(coarse_from: datetime, fine_from: datetime, end: datetime) -> Windows:
    fine = Window(started_at=fine_from, ended_at=max(end, fine_from), period_s=PERIOD_S)
    if coarse_from >= fine_from:
        return Windows(fine=fine, coarse=None)
    coarse = Window(started_at=coarse_from, ended_at=fine_from, period_s=COARSE_S)
    return Windows(fine=fine, coarse=coarse)
