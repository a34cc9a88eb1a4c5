-- A row: an episode of which half and more is covered by what other sources told of its machine.
-- Seconds that are covered up to a moment are summed over each machine's time, once, in order.
with watched as (
    select
        run_id,
        regexp_extract(machine_id, '[^:]+$') as machine,
        started_s,
        ended_s
    from run_sources
    where teller = 'episode'
        and ended_s > started_s
        and run_id not in (select apart.run_id from runs_apart as apart)
),

told as (
    select
        regexp_extract(unnest(string_split(machine_id, ';')), '[^:]+$') as machine,
        started_s,
        until_s
    from run_sources
    where teller <> 'episode'
        and until_s > started_s
),

moments as (
    select machine, started_s as at_s, 1 as turn, cast(null as varchar) as run_id
    from told
    where machine in (select watched.machine from watched)
    union all
    select machine, until_s as at_s, -1 as turn, cast(null as varchar) as run_id
    from told
    where machine in (select watched.machine from watched)
    union all
    select machine, started_s as at_s, 0 as turn, run_id
    from watched
    union all
    select machine, ended_s as at_s, 0 as turn, run_id
    from watched
),

depths as (
    select
        *,
        sum(turn) over so_far as depth,
        lead(at_s, 1, at_s) over so_far - at_s as seconds
    from moments
    window so_far as (
        partition by machine
        order by at_s, turn, run_id
        rows between unbounded preceding and current row
    )
),

covered as (
    select
        run_id,
        at_s,
        sum(case when depth > 0 then seconds else 0 end) over (
            partition by machine
            order by at_s, turn, run_id
            rows between unbounded preceding and current row
        ) - case when depth > 0 then seconds else 0 end as covered_s
    from depths
)

select run_id
from covered
where run_id is not null
group by run_id
having max(covered_s) - min(covered_s) >= 0.5 * (max(at_s) - min(at_s))
