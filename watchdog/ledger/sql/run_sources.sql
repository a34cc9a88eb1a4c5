-- A row: a told run, and how far its source is trusted: what ran the command knows more than the
-- scheduler around it, that more than what the command itself reported, and readings know least.
-- Episodes that a newer one replaced are left out. `teller` is the source without what it adds about itself after a colon. Times are seconds from 1970.
select
    run_id,
    workload,
    owner,
    machine_id,
    host,
    aliases,
    teller,
    case
        when teller = 'record' then 4
        when teller in ('slurm', 'sagemaker', 'vertex', 'azureml', 'aws-batch', 'ray') then 3
        when teller in ('mlflow', 'wandb', 'clearml', 'neptune') then 2
        when teller = 'episode' then 0
        else 1
    end as trust,
    epoch(started_at) as started_s,
    epoch(ended_at) as ended_s,
    case
        when outcome = 'running' then 1e12
        else epoch(coalesce(ended_at, observed_at))
    end as until_s
from (
    select
        *,
        split_part(coalesce(source, 'unknown'), ':', 1) as teller
    from runs_told
    where source is distinct from 'episode'
        or concat(';', aliases) not like '%;replaced-by:%'
) as told
