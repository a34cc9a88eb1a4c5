"""What can go wrong with a ledger, looked for: files first, then what their rows say together."""

from collections.abc import Callable, Iterator, Mapping

from watchdog.ledger import inbox
from watchdog.ledger.check import Check, State, broken, counted, fine, note
from watchdog.ledger.checks_of_charges import charge_checks
from watchdog.ledger.checks_of_files import table_checks
from watchdog.ledger.failures import LedgerError, explained, foreign
from watchdog.ledger.place import Place
from watchdog.ledger.tables import CHARGES, PATROLS, TABLES, Table
from watchdog.ledger.views import RAW, query

Show = Callable[[str, Mapping[str, object]], None]
"""Makes the tables visible that a view reads."""

WATERMARKS = """
with told as (
    select
        "at",
        cast(unnest(cast(scopes_json as json[])) as json) as scope
    from raw_patrols
),
scopes as (
    select
        concat_ws(':', scope ->> 'provider', scope ->> 'account', scope ->> 'region') as scope,
        "at",
        cast(scope ->> 'watched_until' as timestamp with time zone) as watched_until
    from told
)
select
    scope,
    count(*) filter (where watched_until > "at") as ahead,
    count(*) filter (where watched_until < before) as back
from (
    select
        *,
        max(watched_until) over (
            partition by scope order by "at" range between unbounded preceding and current row
            exclude group
        ) as before
    from scopes
)
group by scope
order by scope
"""


def verified(place: Place, show: Show) -> Iterator[Check]:
    """Each check in turn. What breaks one of them is told and does not end the others."""
    sound = set()
    for table in TABLES.values():
        checks = list(_guarded(table.name, lambda each=table: table_checks(each, place)))  # type: ignore[misc]
        yield from checks
        if all(check.state is not State.BROKEN for check in checks):
            sound.add(table.name)
    of_facts = (
        *((table, f"keys of {name}", _keys) for name, table in TABLES.items()),
        (CHARGES, "charges", _charges),
        (PATROLS, "watermarks", _watermarks),
    )
    for table, what, check in of_facts:
        if table.name in sound:
            yield from _guarded(what, lambda run=check, of=table: run(of, place, show))  # type: ignore[misc]
        else:
            yield note(what, f"not looked at, for the table {table.name} is broken")
    yield from _guarded("inbox", lambda: _inbox(place))
    # Incidents are streams of objects that carry the hash of the one before: their check goes here.


def _guarded(what: str, check: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    try:
        yield from check()
    except LedgerError as error:
        yield broken(what, str(error))
    except foreign() as error:
        yield broken(what, f"cannot be read: {explained(error)}")


def _keys(table: Table, place: Place, show: Show) -> Iterator[Check]:
    """A view shows each key once."""
    show(table.name, {})
    key = ", ".join(table.key)
    counts = f"select count(*), count(distinct row({key})) from ({query(table.name).sql})"  # noqa: S608 - the table's own
    [[rows, keys]] = place.engine.connection.execute(counts).fetchall()
    what = f"keys of {table.name}"
    if rows != keys:
        yield broken(what, f"the view shows {counted(rows - keys, 'row')} of a key twice")
    else:
        yield fine(what, f"{counted(rows, 'row')} in the view, each key once")


def _charges(table: Table, place: Place, show: Show) -> Iterator[Check]:
    show(table.name, {})
    return charge_checks(place.engine.connection, query(table.name).sql)


def _watermarks(table: Table, place: Place, show: Show) -> Iterator[Check]:
    """A later patrol never knows less far than an earlier one, and none knows the future."""
    show(f"{RAW}{table.name}", {})
    scopes = place.engine.connection.execute(WATERMARKS).fetchall()
    faults = False
    for scope, ahead, back in scopes:
        if ahead:
            faults = True
            told = f"{counted(ahead, 'patrol')} watched it until after the patrol itself"
            yield broken("watermarks", f"{scope}: {told}")
        if back:
            faults = True
            told = f"{counted(back, 'patrol')} watched it less far than one before"
            yield broken("watermarks", f"{scope}: {told}: was the clock put back?")
    if not faults:
        yield fine("watermarks", f"{counted(len(scopes), 'scope')}, each watched ever further")


def _inbox(place: Place) -> Iterator[Check]:
    problems = inbox.problems(place.objects)
    waiting = place.objects.keys(inbox.INBOX)
    rejected = [key for key in waiting if key.startswith(f"{inbox.REJECTED}/")]
    for problem in problems:
        yield broken("inbox", f"{problem}; the next patrol puts it aside")
    if not problems:
        told = counted(len(waiting) - len(rejected), "object")
        yield fine("inbox", f"{told} waiting, all readable")
    if rejected:
        told = f"{counted(len(rejected), 'object')} put aside in {inbox.REJECTED}"
        yield note("inbox", f"{told}: mend them and move them back, or delete them")
