-- A row: two runs of different sources that bear the same id at the same time, each way round.
-- A run's ids are its own and its aliases; `process:` tells only where it ran. Clocks may differ by
-- five minutes. An id that more than a hundred runs bear is no attempt's.
with bears as (
    select
        run_id,
        teller,
        trust,
        started_s,
        until_s,
        unnest(list_distinct(string_split(concat_ws(';', run_id, aliases), ';'))) as id
    from run_sources
    where run_id not in (select apart.run_id from runs_apart as apart)
),

shared as (
    select id
    from bears
    where id <> ''
        and id not like 'process:%'
    group by id
    having min(teller) <> max(teller)
        and count(*) <= 100
),

several as (
    select bears.*
    from bears
    inner join shared on shared.id = bears.id
)

select distinct
    one.run_id,
    one.teller,
    other.run_id as other,
    other.teller as other_teller,
    other.trust as other_trust
from several as one
inner join several as other
    on other.id = one.id
    and other.teller <> one.teller
where one.started_s <= other.until_s + 300
    and other.started_s <= one.until_s + 300
