-- A row: the newest revision of one run. Narrow: an import asks for all of them.
select
    run_id,
    revision,
    observed_at
from runs_told
