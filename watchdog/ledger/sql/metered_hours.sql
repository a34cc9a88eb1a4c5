-- A row: how many hours of one resource's clock hour were metered, and of how many of them it is
-- known what they were spent on, and what they cost, from $since on; and by which version of the
-- hour.
-- prune: charges.date >= $since
SELECT
  ResourceId,
  x_Meter,
  date_trunc('hour', ChargePeriodStart) AS ChargePeriodStart,
  sum(ConsumedQuantity) AS hours,
  sum(CASE WHEN x_Phase = 'unknown' THEN 0 ELSE ConsumedQuantity END) AS measured_hours,
  sum(CASE WHEN ListCost IS NULL THEN 0 ELSE ConsumedQuantity END) AS priced_hours,
  max(observed_at) AS observed_at
FROM charges
WHERE ConsumedUnit = 'Hours' AND ChargePeriodStart >= CAST($since AS TIMESTAMPTZ)
GROUP BY ResourceId, x_Meter, date_trunc('hour', ChargePeriodStart)
