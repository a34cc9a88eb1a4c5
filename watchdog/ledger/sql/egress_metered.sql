-- A row: what one egress meter counted in one clock hour, from $detailed_from on. Older hours, back
-- to $since, are one row for each account and service: their volume decides the tier of what comes.
-- `resource` and `hour` are NULL there.
-- prune: charges.date >= $since
with told as (
    select
        ProviderName as provider,
        SubAccountId as account,
        ServiceName as service,
        ResourceId as resource,
        date_trunc('hour', ChargePeriodStart) as hour,
        ConsumedQuantity as gb,
        ListCost as usd,
        row_number() over (
            partition by ResourceId, date, date_trunc('hour', ChargePeriodStart)
            order by observed_at desc, ConsumedQuantity desc
        ) as place
    from raw_charges
    where
        x_Meter = 'egress'
        and ConsumedUnit = 'GB'
        and ChargePeriodStart >= cast($since as timestamp with time zone)
),

newest as (
    select *, hour >= cast($detailed_from as timestamp with time zone) as detailed
    from told
    where place = 1
)

select
    provider,
    account,
    service,
    case when detailed then resource end as resource,
    case when detailed then hour end as hour,
    sum(gb) as gb,
    sum(usd) as usd
from newest
group by
    provider,
    account,
    service,
    case when detailed then resource end,
    case when detailed then hour end
