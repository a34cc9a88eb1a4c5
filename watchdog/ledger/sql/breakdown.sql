-- A row: what was spent from $since until $until (whole clock hours) on one bucket, by $by: workload
-- owner group kind provider region machine day phase. $workload: of this workload only, told by its
-- name or group/name. $only_unpriced: of charges without a price only.
-- optional: $workload, $only_unpriced
-- prune: charges.date >= $since
-- prune: charges.date <= $until
--
-- Charges meet their workloads here, when read: a charge is split over the attributions of the time
-- that was billed in its hour, by time and share. The parts of a charge are differences of one
-- rounded running total, so that they add up to it exactly; what no attribution covers has no
-- workload. `key` NULL: unattributed or unknown. `usd` NULL: unpriced. `failed_usd`: the part of
-- `usd` inside runs that failed. Times count in milliseconds from 1970, `hour` and `day` likewise.
WITH
asked AS (
  SELECT
    ResourceId, x_Meter, ResourceName, ProviderName, RegionId, x_Phase, ListCost, observed_at,
    CAST(floor(epoch(ChargePeriodStart) / 3600) AS BIGINT) AS hour,
    CASE WHEN ConsumedUnit = 'Hours' THEN CAST(ConsumedQuantity AS DOUBLE) END AS hours,
    -- how far into the hour the boot began that ran in it
    CASE
      WHEN ConsumedQuantity >= 1 THEN 0
      WHEN substr(x_Boot, 1, 8) <> replace(CAST(date AS VARCHAR), '-', '') THEN 0
      WHEN TRY_CAST(substr(x_Boot, 10, 2) AS INTEGER)
        <> CAST(floor(epoch(ChargePeriodStart) / 3600) AS BIGINT) % 24 THEN 0
      ELSE
        TRY_CAST(substr(x_Boot, 12, 2) AS INTEGER) * 60000
        + TRY_CAST(substr(x_Boot, 14, 2) AS INTEGER) * 1000
    END AS boot_ms
  FROM raw_charges
  WHERE
    ChargePeriodStart >= CAST($since AS TIMESTAMPTZ)
    AND ChargePeriodStart < CAST($until AS TIMESTAMPTZ)
),

resources AS (
  SELECT row_number() OVER (ORDER BY resource, meter) AS number, *
  FROM (
    SELECT
      ResourceId AS resource,
      x_Meter AS meter,
      max(ResourceName) AS name,
      max(ProviderName) AS provider,
      max(RegionId) AS region
    FROM asked
    GROUP BY ResourceId, x_Meter
  ) AS each_resource
),

-- a slot is one meter's clock hour: a short key, that joins fast
told AS (
  SELECT
    r.number * 10000000 + a.hour AS slot,
    r.number, a.hour, a.x_Phase, a.hours, a.boot_ms, a.ListCost, a.observed_at
  FROM asked AS a
  JOIN resources AS r ON r.resource = a.ResourceId AND r.meter = a.x_Meter
),

-- what the view `charges` shows, of a few columns and without sorting: of each slot the newest set
metered AS (
  SELECT
    t.slot, t.x_Phase,
    min(t.number) AS number,
    min(t.hour) AS hour,
    max(t.hours) AS hours,
    max(t.boot_ms) AS boot_ms,
    max(t.ListCost) AS ListCost
  FROM told AS t
  JOIN (SELECT slot, max(observed_at) AS observed_at FROM told GROUP BY slot) AS newest
    ON newest.slot = t.slot AND newest.observed_at = t.observed_at
  GROUP BY t.slot, t.x_Phase
),

billed AS (
  SELECT
    slot,
    min(number) AS number,
    min(hour) AS hour,
    coalesce(max(boot_ms), 0) AS boot_ms,
    CAST(round(sum(hours) * 3600000) AS BIGINT) AS billed_ms
  FROM metered
  GROUP BY slot
),

-- the time that was billed in a slot: one piece from the hour's beginning, or from the boot, on;
-- where it cannot have been one piece, and for other meters, the whole hour
windows AS (
  SELECT
    slot, number,
    hour // 24 AS day,
    hour * 3600000 + CASE WHEN one_piece THEN boot_ms ELSE 0 END AS low,
    hour * 3600000 + CASE WHEN one_piece THEN boot_ms + billed_ms ELSE 3600000 END AS high
  FROM (
    SELECT b.*, r.meter = 'compute' AND b.boot_ms + b.billed_ms <= 3600000 AS one_piece
    FROM billed AS b
    JOIN resources AS r ON r.number = b.number
  ) AS shaped
),

segments AS (
  SELECT
    row_number() OVER (ORDER BY number, low, high, workload, rule) AS segment,
    *,
    -- no other segment of this resource at the same time
    share = 1
    AND low >= coalesce(max(high) OVER before, low)
    AND high <= coalesce(lead(low) OVER in_time, high) AS alone
  FROM (
    SELECT
      r.number, a.workload, a.workload_group, a.owner, a.kind, a.share, a.rule,
      date_diff(
        'millisecond',
        TIMESTAMPTZ '1970-01-01 00:00:00+00',
        greatest(a.started_at, CAST($since AS TIMESTAMPTZ))
      ) AS low,
      date_diff(
        'millisecond',
        TIMESTAMPTZ '1970-01-01 00:00:00+00',
        least(coalesce(a.ended_at, CAST($until AS TIMESTAMPTZ)), CAST($until AS TIMESTAMPTZ))
      ) AS high
    FROM attributions AS a
    JOIN resources AS r ON r.resource = a.resource
  ) AS cut
  WHERE low < high AND share > 0
  WINDOW
    in_time AS (PARTITION BY number ORDER BY low, high),
    before AS (
      PARTITION BY number ORDER BY low, high ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    )
),

-- by day, so that an hour meets few segments of its resource instead of all
segment_days AS (
  SELECT
    segment, number, share, alone, low, high,
    unnest(generate_series(low // 86400000, (high - 1) // 86400000)) AS day
  FROM segments
),

pieces AS (
  SELECT
    w.slot, s.segment, s.share, s.day,
    w.high - w.low AS length,
    greatest(w.low, s.low) AS low,
    least(w.high, s.high) AS high,
    s.alone AND s.low <= w.low AND w.high <= s.high AS whole
  FROM windows AS w
  JOIN segment_days AS s
    ON s.number = w.number AND s.day = w.day AND s.low < w.high AND w.low < s.high
),

-- the share of each slot that a segment has: from `since` to `upto` of its running total
weighed AS (
  SELECT
    slot, segment, length, share,
    sum(CAST(round((high - low) * share * 1000000) AS BIGINT)) OVER in_order AS running,
    CAST(round((high - low) * share * 1000000) AS BIGINT) AS weight,
    sum(CAST(round((high - low) * share * 1000000) AS BIGINT)) OVER of_slot AS covered,
    row_number() OVER in_order AS place
  FROM pieces
  WHERE NOT whole
  WINDOW
    of_slot AS (PARTITION BY slot),
    in_order AS (
      PARTITION BY slot ORDER BY segment ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    )
),

scaled AS (
  SELECT
    slot, segment, share, place,
    CAST(running AS DOUBLE) AS running,
    CAST(running - weight AS DOUBLE) AS before,
    CAST(covered AS DOUBLE) AS covered,
    -- shares that add up to more than one, or to one but for their rounding, fill the slot
    CASE
      WHEN covered > length * 999999 THEN CAST(covered AS DOUBLE)
      ELSE length * CAST(1000000 AS DOUBLE)
    END AS total
  FROM weighed
),

ranges AS (
  SELECT
    slot, segment,
    CAST(0 AS DOUBLE) AS since,
    CAST(1 AS DOUBLE) AS upto,
    CAST(1 AS DOUBLE) / length AS each_ms
  FROM pieces
  WHERE whole
  UNION ALL
  SELECT slot, segment, before / total, running / total, share * 1000000 / total
  FROM scaled
  UNION ALL
  SELECT slot, NULL, covered / total, CAST(1 AS DOUBLE), CAST(0 AS DOUBLE)
  FROM scaled
  WHERE place = 1 AND covered < total
),

-- runs that failed, under whichever name of the machine they give; one without an end is left out
failed_runs AS (
  SELECT r.number, f.rule, f.low, f.high
  FROM (
    SELECT
      'run ' || run_id AS rule,
      date_diff('millisecond', TIMESTAMPTZ '1970-01-01 00:00:00+00', started_at) AS low,
      date_diff('millisecond', TIMESTAMPTZ '1970-01-01 00:00:00+00', ended_at) AS high,
      unnest(string_split(machine_id, ';')) AS name
    FROM runs
    WHERE
      outcome = 'failed'
      AND started_at < ended_at
      AND started_at < CAST($until AS TIMESTAMPTZ)
      AND ended_at > CAST($since AS TIMESTAMPTZ)
  ) AS f
  JOIN (
    SELECT number, resource AS name FROM resources WHERE meter = 'compute'
    UNION
    SELECT number, regexp_extract(resource, '[^:]+$') FROM resources WHERE meter = 'compute'
  ) AS r ON r.name = f.name
),

-- each moment once, however many runs failed in it
failed_time AS (
  SELECT number, min(low) AS low, max(high) AS high
  FROM (
    SELECT
      number, low, high,
      sum(apart) OVER (PARTITION BY number ORDER BY low, high ROWS UNBOUNDED PRECEDING) AS island
    FROM (
      SELECT
        number, low, high,
        CASE
          WHEN low <= max(high) OVER (
            PARTITION BY number ORDER BY low, high ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
          ) THEN 0
          ELSE 1
        END AS apart
      FROM failed_runs
    ) AS marked
  ) AS numbered
  GROUP BY number, island
),

-- a workload that shares the machine answers for its own run only
failed_parts AS (
  SELECT s.segment, greatest(s.low, f.low) AS low, least(s.high, f.high) AS high
  FROM segments AS s
  JOIN failed_time AS f ON f.number = s.number AND f.low < s.high AND s.low < f.high
  WHERE s.share >= 1
  UNION ALL
  SELECT s.segment, greatest(s.low, f.low) AS low, least(s.high, f.high) AS high
  FROM segments AS s
  JOIN failed_runs AS f
    ON f.number = s.number AND f.rule = s.rule AND f.low < s.high AND s.low < f.high
  WHERE s.share < 1
),

failed_days AS (
  SELECT
    segment, low, high,
    unnest(generate_series(low // 86400000, (high - 1) // 86400000)) AS day
  FROM failed_parts
),

failed_pieces AS (
  SELECT
    p.slot, p.segment,
    CAST(sum(least(p.high, f.high) - greatest(p.low, f.low)) AS DOUBLE) AS failed_ms
  FROM pieces AS p
  JOIN failed_days AS f
    ON f.segment = p.segment AND f.day = p.day AND f.low < p.high AND p.low < f.high
  GROUP BY p.slot, p.segment
),

split AS (
  SELECT
    m.number, m.hour, m.x_Phase, r.segment,
    m.hours * coalesce(r.upto - r.since, 1) AS hours,
    CASE
      WHEN r.slot IS NULL OR r.upto = 1 THEN m.ListCost
      ELSE CAST(CAST(m.ListCost AS DOUBLE) * r.upto AS DECIMAL(18, 9))
    END
    - CASE
      WHEN r.slot IS NULL OR r.since = 0 THEN 0
      ELSE CAST(CAST(m.ListCost AS DOUBLE) * r.since AS DECIMAL(18, 9))
    END AS usd,
    CASE
      WHEN f.failed_ms IS NULL THEN 0
      ELSE CAST(CAST(m.ListCost AS DOUBLE) * r.each_ms * f.failed_ms AS DECIMAL(18, 9))
    END AS failed_usd
  FROM metered AS m
  LEFT JOIN ranges AS r ON r.slot = m.slot
  LEFT JOIN failed_pieces AS f ON f.slot = r.slot AND f.segment = r.segment
),

bucketed AS (
  SELECT
    p.*, r.resource, r.name, r.provider, r.region,
    CASE
      WHEN r.meter = 'compute' THEN p.x_Phase
      WHEN r.meter IN ('storage', 'egress') THEN r.meter
      ELSE 'other'
    END AS bucket
  FROM split AS p
  JOIN resources AS r ON r.number = p.number
  WHERE p.usd IS NULL OR NOT coalesce(CAST($only_unpriced AS BOOLEAN), FALSE)
),

keyed AS (
  SELECT
    CASE $by
      WHEN 'workload' THEN s.workload
      WHEN 'owner' THEN s.owner
      WHEN 'group' THEN s.workload_group
      WHEN 'kind' THEN s.kind
      WHEN 'provider' THEN b.provider
      WHEN 'region' THEN b.region
      WHEN 'machine' THEN b.resource
      WHEN 'day' THEN CAST(DATE '1970-01-01' + CAST(b.hour // 24 AS INTEGER) AS VARCHAR)
      WHEN 'phase' THEN b.bucket
    END AS key,
    CASE $by
      WHEN 'workload' THEN coalesce(s.workload_group, s.owner)
      WHEN 'machine' THEN b.name
    END AS qualifier,
    b.bucket, b.hours, b.usd,
    least(b.usd, b.failed_usd) AS failed_usd
  FROM bucketed AS b
  LEFT JOIN segments AS s ON s.segment = b.segment
  WHERE
    $workload IS NULL
    OR coalesce(s.workload, 'unattributed') = $workload
    OR coalesce(s.workload_group, s.owner) || '/' || s.workload = $workload
)

SELECT
  key, qualifier, bucket,
  CAST(sum(usd) AS DECIMAL(38, 9)) AS usd,
  CAST(sum(failed_usd) AS DECIMAL(38, 9)) AS failed_usd,
  sum(CASE WHEN usd IS NULL THEN 1 ELSE 0 END) AS unpriced,
  sum(CASE WHEN usd IS NULL THEN hours END) AS unpriced_hours
FROM keyed
GROUP BY key, qualifier, bucket
