-- A row: what the agent on a machine measured of a GPU (NULL: the host) in one interval of a grid
-- of $period_s seconds. Intervals of which less than four fifths were watched are left out.
-- prune: readings.date >= $since
select
    resource,
    gpu,
    cast(floor(epoch(started_at) / $period_s) as bigint) * $period_s as started_s,
    max(utilisation_max_pct) as utilisation_max_pct,
    avg(utilisation_mean_pct) as utilisation_mean_pct,
    max(memory_used_mib) as memory_used_mib,
    max(memory_total_mib) as memory_total_mib,
    avg(power_w) as power_w,
    avg(received_bytes) * $period_s / min(epoch(ended_at) - epoch(started_at)) as received_bytes,
    avg(sent_bytes) * $period_s / min(epoch(ended_at) - epoch(started_at)) as sent_bytes,
    avg(written_bytes) * $period_s / min(epoch(ended_at) - epoch(started_at)) as written_bytes
from readings
where date >= cast($since as date)
    and started_at >= $since
    and ended_at <= $until
    and source = 'agent'
group by 1, 2, 3
having sum(epoch(ended_at) - epoch(started_at)) >= 0.8 * $period_s
