-- A row: a told run that is not shown as one of its own. `attempt`: the run of a more trusted source
-- that tells of the same attempt; NULL: an episode that recorded runs explain, or a newer one holds.
-- `way` says why. Two runs are one only where each is the other's only match of its source, and
-- all that are merged match the most trusted of them: nothing is chained, whatever the order.
with by_id as (
    select *
    from runs_by_id
    qualify count(*) over (partition by run_id, other_teller) = 1
        and count(*) over (partition by other, teller) = 1
),

by_time as (
    select each.*
    from runs_by_time as each
    where not exists (
        select 1
        from runs_by_id as known
        where known.run_id = each.run_id
            and known.other_teller = each.other_teller
    )
    and not exists (
        select 1
        from runs_by_id as known
        where known.run_id = each.other
            and known.other_teller = each.teller
    )
    qualify count(*) over (partition by each.run_id, each.other_teller) = 1
        and count(*) over (partition by each.other, each.teller) = 1
),

matches as (
    select *, 'id' as way from by_id
    union all
    select *, 'time' as way from by_time
),

above as (
    select
        each.run_id,
        each.other as attempt,
        each.way
    from matches as each
    inner join run_sources as own on own.run_id = each.run_id
    where (each.other_trust, each.other_teller) > (own.trust, own.teller)
    qualify row_number() over (
        partition by each.run_id
        order by each.other_trust desc, each.other_teller desc
    ) = 1
),

merged as (
    select *
    from above
    where attempt not in (select higher.run_id from above as higher)
),

hidden as (
    select run_id, 'explained' as way
    from episodes_explained
    union all
    select run_id, 'replaced' as way
    from runs_told
    where source = 'episode'
        and concat(';', aliases) like '%;replaced-by:%'
)

select
    run_id,
    attempt,
    way
from merged
union all
select
    run_id,
    null as attempt,
    max(way) as way
from hidden
where run_id not in (select merged.run_id from merged)
group by run_id
