-- A row: a machine, and what its agent told last, until a time, of the processes on its GPUs.
select
    machine,
    max_by(detail_json, "at") as detail_json
from raw_events
where kind = 'gpu_processes'
    and machine is not null
    and "at" <= $until
group by machine
