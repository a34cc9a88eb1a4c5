-- A row: what was seen of a bucket, disk, snapshot or idle address at one moment. Each moment once.
select *
from raw_storage
qualify row_number() over (
    partition by id, observed_at
    order by
        kind, provider, account, region, name, state, size_bytes, monthly_cost_usd, billed_from,
        meters_json, attached_to, attached_at, unattached_since, made_from, created_at, sized_at,
        tags_json, why_json
) = 1
