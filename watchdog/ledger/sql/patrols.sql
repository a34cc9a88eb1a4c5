-- A row: one pass.
select *
from raw_patrols
qualify row_number() over (
    partition by patrol_id
    order by
        "at" desc, started_at, ended_at, mode, scopes_json, gaps_json, api_calls_json, usd,
        seconds, version
) = 1
