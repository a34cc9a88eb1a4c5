-- A row: what a wrapper told of the end of one run: exit code, GPU by GPU.
select
    subject,
    detail_json
from events
where kind = 'run_ended'
