-- A row: what one source told last of one attempt. What people told of two runs being one, or not,
-- is no run.
with newest as (
    select
        run_id,
        max(observed_at) as observed_at
    from raw_runs
    where source is distinct from 'correction'
    group by run_id
)

select each.*
from raw_runs as each
inner join newest
    on newest.run_id = each.run_id
    and newest.observed_at = each.observed_at
qualify row_number() over (partition by each.run_id order by each.revision) = 1
