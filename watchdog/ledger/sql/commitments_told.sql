-- A row: one listing of commitments that was read, and what it held then.
select
    "at",
    detail_json
from events
where kind = 'commitments_read'
