-- A row: an end that an agent told of since a time: of a container, or of a process that the kernel
-- ended because memory ran out.
select
    machine,
    kind,
    "at" as ended_at,
    detail_json
from events
where kind in ('container_exit', 'oom_kill')
    and machine is not null
    and "at" >= $since
