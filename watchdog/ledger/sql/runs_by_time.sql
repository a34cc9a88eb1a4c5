-- A row: two runs of different sources on one machine, of one owner (else, where one tells none, of
-- one workload), of which each covers nine tenths of the other, each way round. Runs that bear ids
-- of one system are told apart, or not, by those.
-- Runs are looked for among those that last about as long and start about then: `size` is the
-- power of two below the seconds that a run lasts, `place` counts such stretches from 1970.
with spans as (
    select
        *,
        ended_s - started_s as seconds,
        list_distinct(
            list_transform(
                list_filter(
                    string_split(concat_ws(';', run_id, aliases), ';'),
                    lambda id: id like '%_:_%' and id not like 'process:%'
                ),
                lambda id: split_part(id, ':', 1)
            )
        ) as systems
    from run_sources
    where ended_s > started_s
        and run_id not in (select apart.run_id from runs_apart as apart)
),

machines_of as (
    select
        run_id,
        teller,
        'machine' as way,
        regexp_extract(unnest(string_split(machine_id, ';')), '[^:]+$') as name
    from spans
    union all
    select
        run_id,
        teller,
        'host' as way,
        lower(split_part(host, '.', 1)) as name
    from spans
    where lower(split_part(host, '.', 1)) not in ('', 'localhost')
),

met as (
    select
        way,
        name
    from machines_of
    where name <> ''
    group by way, name
    having min(teller) <> max(teller)
),

seen as (
    select
        machines_of.way,
        machines_of.name,
        spans.*
    from machines_of
    inner join met
        on met.way = machines_of.way
        and met.name = machines_of.name
    inner join spans on spans.run_id = machines_of.run_id
),

sized as (
    select
        *,
        unnest(
            list_distinct([floor(log2(seconds * 0.9)), floor(log2(seconds / 0.9))])
        ) as size
    from seen
),

asking as (
    select
        *,
        unnest(
            list_distinct(
                [
                    floor((started_s - seconds / 9) / pow(2, size)),
                    floor((started_s + seconds / 9) / pow(2, size))
                ]
            )
        ) as place
    from sized
),

asked as (
    select
        *,
        floor(log2(seconds)) as size,
        floor(started_s / pow(2, floor(log2(seconds)))) as place
    from seen
)

select distinct
    one.run_id,
    one.teller,
    other.run_id as other,
    other.teller as other_teller,
    other.trust as other_trust
from asking as one
inner join asked as other
    on other.way = one.way
    and other.name = one.name
    and other.size = one.size
    and other.place = one.place
    and other.teller <> one.teller
where (one.way = 'machine' or one.machine_id is null or other.machine_id is null)
    and (
        one.owner = other.owner
        or (
            (one.owner is null or other.owner is null)
            and one.workload = other.workload
        )
    )
    and least(one.ended_s, other.ended_s) - greatest(one.started_s, other.started_s)
    >= 0.9 * greatest(one.seconds, other.seconds)
    and not list_has_any(one.systems, other.systems)
