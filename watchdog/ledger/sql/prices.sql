-- A row: what a provider's own price list said last of a machine type in a region.
select *
from raw_prices
qualify row_number() over (
    partition by provider, region, machine_type, operating_system, component
    order by observed_at desc, hourly_usd, source, as_of, why, changed_from_usd, changed_at
) = 1
