-- A row: a run of which a person said that no other source tells of the same attempt.
select
    aliases as run_id,
    observed_at
from raw_runs
where source = 'correction'
qualify row_number() over (partition by run_id order by observed_at desc, revision) = 1
    and revision = 'apart'
