-- A row: somebody wanted to keep a machine.
select
    "at",
    machine,
    detail_json
from events
where kind = 'keep'
    and machine is not null
