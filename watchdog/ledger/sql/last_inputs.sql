-- A row: a machine, and when somebody last typed there, as its agent told until a time.
select
    machine,
    max("at") as typed_at
from raw_events
where kind = 'last_input'
    and machine is not null
    and "at" <= $until
group by machine
