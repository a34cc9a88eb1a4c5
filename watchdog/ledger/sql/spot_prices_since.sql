-- A row: a spot price that held at $since or later.
select *
from spot_prices
where told_until >= CAST($since AS TIMESTAMPTZ)
