-- A row: one machine's clock hour: hours and dollars, and of them those of set-up and of moving data
-- while GPUs waited. `usd` NULL: some of it has no price. $readying: only hours that have any of the
-- two.
-- optional: $resources, $readying
-- prune: charges.date >= $since
SELECT
  ResourceId,
  date_trunc('hour', ChargePeriodStart) AS hour,
  CAST(sum(ConsumedQuantity) AS DOUBLE) AS hours,
  CASE WHEN count(ListCost) = count(*) THEN sum(ListCost) END AS usd,
  CAST(sum(CASE WHEN x_Phase = 'setup' THEN ConsumedQuantity ELSE 0 END) AS DOUBLE) AS setup_hours,
  CAST(sum(CASE WHEN x_Phase = 'setup' THEN ListCost END) AS DECIMAL(18, 9)) AS setup_usd,
  CAST(sum(CASE WHEN x_Phase = 'transfer' THEN ConsumedQuantity ELSE 0 END) AS DOUBLE)
    AS transfer_hours,
  CAST(sum(CASE WHEN x_Phase = 'transfer' THEN ListCost END) AS DECIMAL(18, 9)) AS transfer_usd
FROM charges
WHERE
  x_Meter = 'compute'
  AND ConsumedUnit = 'Hours'
  AND ChargePeriodStart >= CAST($since AS TIMESTAMPTZ)
  AND ($resources IS NULL OR list_contains($resources, ResourceId))
GROUP BY ResourceId, date_trunc('hour', ChargePeriodStart)
HAVING
  NOT coalesce(CAST($readying AS BOOLEAN), FALSE)
  OR sum(CASE WHEN x_Phase IN ('setup', 'transfer') THEN ConsumedQuantity ELSE 0 END) > 0
