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
    a.x_Phase, a.hours, a.boot_ms, a.ListCost, a.observed_at
  FROM asked AS a
  JOIN resources AS r ON r.resource = a.ResourceId AND r.meter = a.x_Meter
),

-- what the view `charges` shows, of a few columns and without sorting: of each slot the newest set
metered AS (
  SELECT
    t.slot, t.x_Phase,
    t.slot // 10000000 AS number,
    t.slot % 10000000 AS hour,
    max(t.hours) AS hours,
    max(t.boot_ms) AS boot_ms,
    max(t.ListCost) AS ListCost
  FROM told AS t
  JOIN (SELECT slot, max(observed_at) AS observed_at FROM told GROUP BY slot) AS newest
    ON newest.slot = t.slot AND newest.observed_at = t.observed_at
  GROUP BY t.slot, t.x_Phase
),

span AS (
  SELECT
    date_diff('millisecond', TIMESTAMPTZ '1970-01-01 00:00:00+00', CAST($since AS TIMESTAMPTZ))
      AS since,
    date_diff('millisecond', TIMESTAMPTZ '1970-01-01 00:00:00+00', CAST($until AS TIMESTAMPTZ))
      AS until
),

attributed AS (
  SELECT
    r.number, a.workload, a.workload_group, a.owner, a.kind, a.share, a.rule,
    greatest(
      date_diff('millisecond', TIMESTAMPTZ '1970-01-01 00:00:00+00', a.started_at), span.since
    ) AS low,
    least(
      coalesce(
        date_diff('millisecond', TIMESTAMPTZ '1970-01-01 00:00:00+00', a.ended_at), span.until
      ),
      span.until
    ) AS high
  FROM attributions AS a
  JOIN resources AS r ON r.resource = a.resource
  CROSS JOIN span
  WHERE
    a.started_at < CAST($until AS TIMESTAMPTZ)
    AND coalesce(a.ended_at > CAST($since AS TIMESTAMPTZ), TRUE)
    AND coalesce(a.ended_at > a.started_at, TRUE)
    AND a.share > 0
),

-- the time of a resource that nothing is attributed to
gaps AS (
  SELECT number, coalesce(before, since) AS low, low AS high
  FROM (
    SELECT
      e.number, e.low, span.since,
      max(e.high) OVER (
        PARTITION BY e.number
        ORDER BY e.low, e.high
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
      ) AS before
    FROM (
      SELECT number, low, high FROM attributed
      UNION ALL
      SELECT r.number, span.until AS low, span.until AS high FROM resources AS r CROSS JOIN span
    ) AS e
    CROSS JOIN span
  ) AS ordered
  WHERE coalesce(before, since) < low
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
    SELECT number, workload, workload_group, owner, kind, share, rule, low, high FROM attributed
    UNION ALL
    SELECT number, NULL, NULL, NULL, NULL, CAST(1 AS DOUBLE), NULL, low, high FROM gaps
  ) AS each_segment
  WINDOW
    in_time AS (PARTITION BY number ORDER BY low, high),
    before AS (
      PARTITION BY number ORDER BY low, high ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    )
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

-- segments, cut where failed runs begin and end; a workload that shares the machine answers for its
-- own run only
edges AS (
  SELECT segment, moment, sum(turn) AS turn
  FROM (
    SELECT segment, low AS moment, 0 AS turn FROM segments
    UNION ALL
    SELECT segment, high AS moment, 0 AS turn FROM segments
    UNION ALL
    SELECT s.segment, greatest(s.low, f.low) AS moment, 1 AS turn
    FROM segments AS s
    JOIN failed_runs AS f ON f.number = s.number AND f.low < s.high AND s.low < f.high
    WHERE s.share >= 1 OR s.rule = f.rule
    UNION ALL
    SELECT s.segment, least(s.high, f.high) AS moment, -1 AS turn
    FROM segments AS s
    JOIN failed_runs AS f ON f.number = s.number AND f.low < s.high AND s.low < f.high
    WHERE s.share >= 1 OR s.rule = f.rule
  ) AS each_edge
  GROUP BY segment, moment
),

parts AS (
  SELECT
    row_number() OVER (ORDER BY c.segment, c.low) AS part,
    c.segment, s.number, s.share, s.alone, c.low, c.high, c.failed
  FROM (
    SELECT
      segment,
      moment AS low,
      lead(moment) OVER in_time AS high,
      sum(turn) OVER so_far > 0 AS failed
    FROM edges
    WINDOW
      in_time AS (PARTITION BY segment ORDER BY moment),
      so_far AS (
        PARTITION BY segment ORDER BY moment ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      )
  ) AS c
  JOIN segments AS s ON s.segment = c.segment
  WHERE c.high IS NOT NULL
),

-- by day, so that an hour meets few parts of its resource instead of all
part_days AS (
  SELECT *, unnest(generate_series(low // 86400000, (high - 1) // 86400000)) AS day
  FROM parts
),

-- most hours lie within one part, and need no splitting
placed AS (
  SELECT m.*, p.segment, p.failed
  FROM metered AS m
  LEFT JOIN part_days AS p
    ON p.number = m.number AND p.day = m.hour // 24 AND p.alone
    AND p.low <= m.hour * 3600000 AND p.high >= (m.hour + 1) * 3600000
),

billed AS (
  SELECT
    slot, number, hour,
    coalesce(max(boot_ms), 0) AS boot_ms,
    CAST(round(sum(hours) * 3600000) AS BIGINT) AS billed_ms
  FROM placed
  WHERE segment IS NULL
  GROUP BY slot, number, hour
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

-- which parts met in it, and each one's weight: milliseconds times millionths of a share
pieces AS (
  SELECT
    w.slot, p.part, p.segment, p.failed,
    w.high - w.low AS length,
    CAST(
      round((least(w.high, p.high) - greatest(w.low, p.low)) * p.share * 1000000) AS BIGINT
    ) AS weight
  FROM windows AS w
  JOIN part_days AS p
    ON p.number = w.number AND p.day = w.day AND p.low < w.high AND w.low < p.high
),

weighed AS (
  SELECT
    slot, part, segment, failed, length, weight,
    sum(weight) OVER so_far AS running,
    sum(weight) OVER of_slot AS covered,
    row_number() OVER so_far AS place
  FROM pieces
  WINDOW
    of_slot AS (PARTITION BY slot),
    so_far AS (
      PARTITION BY slot ORDER BY part ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    )
),

scaled AS (
  SELECT
    slot, segment, failed, place,
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

-- the share of a slot that each has: from `since` to `upto` of the running total
ranges AS (
  SELECT slot, segment, failed, before / total AS since, running / total AS upto
  FROM scaled
  UNION ALL
  SELECT slot, NULL, FALSE, covered / total, CAST(1 AS DOUBLE)
  FROM scaled
  WHERE place = 1 AND covered < total
),

split AS (
  SELECT number, hour, x_Phase, segment, failed, hours, ListCost AS usd
  FROM placed
  WHERE segment IS NOT NULL
  UNION ALL
  SELECT
    m.number, m.hour, m.x_Phase, r.segment, r.failed,
    m.hours * coalesce(r.upto - r.since, 1) AS hours,
    CASE
      WHEN r.slot IS NULL OR r.upto = 1 THEN m.ListCost
      ELSE CAST(CAST(m.ListCost AS DOUBLE) * r.upto AS DECIMAL(18, 9))
    END
    - CASE
      WHEN r.slot IS NULL OR r.since = 0 THEN 0
      ELSE CAST(CAST(m.ListCost AS DOUBLE) * r.since AS DECIMAL(18, 9))
    END AS usd
  FROM placed AS m
  LEFT JOIN ranges AS r ON r.slot = m.slot
  WHERE m.segment IS NULL
),

added AS (
  SELECT
    number, segment, x_Phase,
    CASE WHEN $by = 'day' THEN hour // 24 END AS day,
    sum(usd) AS usd,
    sum(CASE WHEN failed THEN usd ELSE 0 END) AS failed_usd,
    sum(CASE WHEN usd IS NULL THEN 1 ELSE 0 END) AS unpriced,
    sum(CASE WHEN usd IS NULL THEN hours END) AS unpriced_hours
  FROM split
  WHERE usd IS NULL OR NOT coalesce(CAST($only_unpriced AS BOOLEAN), FALSE)
  GROUP BY number, segment, x_Phase, CASE WHEN $by = 'day' THEN hour // 24 END
),

bucketed AS (
  SELECT
    a.*, r.resource, r.name, r.provider, r.region,
    CASE
      WHEN r.meter = 'compute' THEN a.x_Phase
      WHEN r.meter IN ('storage', 'egress') THEN r.meter
      ELSE 'other'
    END AS bucket
  FROM added AS a
  JOIN resources AS r ON r.number = a.number
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
      WHEN 'day' THEN CAST(DATE '1970-01-01' + CAST(b.day AS INTEGER) AS VARCHAR)
      WHEN 'phase' THEN b.bucket
    END AS key,
    CASE $by
      WHEN 'workload' THEN coalesce(s.workload_group, s.owner)
      WHEN 'machine' THEN b.name
    END AS qualifier,
    b.bucket, b.usd, b.failed_usd, b.unpriced, b.unpriced_hours
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
  sum(unpriced) AS unpriced,
  sum(unpriced_hours) AS unpriced_hours
FROM keyed
GROUP BY key, qualifier, bucket
