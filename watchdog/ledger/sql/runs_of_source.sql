-- A row: a run whose id begins like this, as far as its source needs to know what is known of it.
select
    run_id,
    outcome = 'running' as running,
    ended_at,
    gpus,
    peak_gpu_memory_mib,
    gpu_utilisation_mean_pct
from runs
where
    starts_with(run_id, $prefix)
    and (
        outcome = 'running'
        or peak_gpu_memory_mib is not null
        or gpu_utilisation_mean_pct is not null
    )
