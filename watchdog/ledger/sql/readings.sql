-- A row: one GPU (NULL: the host) over one interval, as it was told last.
-- The date, which follows from started_at, stands in the key so that days can be left out early.
select *
from raw_readings
qualify row_number() over (
    partition by resource, gpu, source, started_at, date
    order by
        observed_at desc, utilisation_max_pct desc nulls last, ended_at, utilisation_mean_pct,
        memory_used_mib, memory_total_mib, power_w, received_bytes, sent_bytes,
        written_bytes, coverage, workload
) = 1
