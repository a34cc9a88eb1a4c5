-- A row: a scope whose egress was read, and what was told of it then.
select
    "at",
    detail_json
from events
where kind = 'egress_read'
