-- A row: a spot price, from when until when it is known to have held. Of several tellings the newest.
select *
from raw_spot_prices
qualify row_number() over (
    partition by provider, account, region, zone, machine_type, product, started_at
    order by observed_at desc, told_until desc, hourly_usd
) = 1
