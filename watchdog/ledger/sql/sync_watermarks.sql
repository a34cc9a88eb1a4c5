-- A row: a source of runs, and from when until when `runs sync` has read it; from NULL: all of it.
select
    subject as source,
    "at" as synced_at,
    cast(json_extract_string(detail_json, '$.from') as timestamp with time zone) as synced_from,
    cast(json_extract_string(detail_json, '$.until') as timestamp with time zone) as synced_until,
    cast(json_extract_string(detail_json, '$.looked_again_at') as timestamp with time zone)
        as looked_again_at
from events
where kind = 'runs_synced'
