-- A row: one attempt, as its sources tell of it together, in their newest revisions. `told_by` names
-- them, the most trusted first. Its id, start, workload and group are those of the most trusted;
-- what that one does not know the next one tells. How it ended: see `ended`. What each source told
-- stands in `runs_told`, why they are one in `run_attempts`.
with placed as (
    select
        told.*,
        coalesce(matched.attempt, told.run_id) as attempt
    from runs_told as told
    left join run_attempts as matched on matched.run_id = told.run_id
    where matched.run_id is null
        or matched.attempt is not null
),

several as (
    select attempt
    from run_attempts
    where attempt is not null
    group by attempt
),

-- an end that was seen, before one that was not; of those that were seen the word of whoever ran
-- the command, before the tracker's, before what readings show; an end with its cause before one
-- without
ranked as (
    select
        placed.run_id,
        placed.attempt,
        placed.outcome,
        own.teller,
        row_number() over (
            partition by placed.attempt
            order by own.trust, own.teller
        ) as trusted,
        row_number() over (
            partition by placed.attempt
            order by
                case placed.outcome
                    when 'unknown' then 0
                    when 'running' then 1
                    when 'lost' then 2
                    else 3
                end,
                case when own.trust >= 3 then 2 else least(own.trust, 1) end,
                placed.outcome = 'succeeded' or coalesce(placed.cause, 'unknown') <> 'unknown',
                own.trust,
                own.teller
        ) as ended
    from placed
    inner join several on several.attempt = placed.attempt
    inner join run_sources as own on own.run_id = placed.run_id
),

best as (
    select
        attempt,
        max_by(outcome, ended) as best_outcome,
        string_agg(teller, ';' order by trusted desc) as told_by
    from ranked
    group by attempt
),

judged as (
    select
        placed.*,
        ranked.trusted,
        ranked.ended,
        best.best_outcome
    from placed
    inner join ranked on ranked.run_id = placed.run_id
    inner join best on best.attempt = placed.attempt
),

ids as (
    select
        placed.attempt,
        unnest(string_split(concat_ws(';', placed.run_id, placed.aliases), ';')) as other_id
    from placed
    inner join several on several.attempt = placed.attempt
),

merged as (
    select
        attempt as run_id,
        max(revision) filter (where run_id = attempt) as revision,
        max(workload) filter (where run_id = attempt) as workload,
        max(started_at) filter (where run_id = attempt) as started_at,
        max(best_outcome) as outcome,
        case
            when max(best_outcome) <> 'running'
                then
                    greatest(
                        coalesce(
                            max_by(ended_at, ended) filter (
                                where outcome = best_outcome and ended_at is not null
                            ),
                            max_by(ended_at, ended) filter (where ended_at is not null)
                        ),
                        max(started_at) filter (where run_id = attempt)
                    )
        end as ended_at,
        max_by(submitted_at, trusted) filter (where submitted_at is not null) as submitted_at,
        max(workload_group) filter (where run_id = attempt) as workload_group,
        max_by(owner, trusted) filter (where owner is not null) as owner,
        coalesce(
            max_by(kind, trusted) filter (where kind <> 'unknown'),
            max(kind) filter (where run_id = attempt)
        ) as kind,
        coalesce(
            max_by(cause, ended) filter (where outcome = best_outcome and cause <> 'unknown'),
            max(cause) filter (where outcome = best_outcome)
        ) as cause,
        max_by(error, ended) filter (
            where outcome = best_outcome and error is not null
        ) as error,
        max_by(location, trusted) filter (where location is not null) as location,
        max_by(provider, trusted) filter (where provider is not null) as provider,
        max_by(region, trusted) filter (where region is not null) as region,
        max_by(machine_type, trusted) filter (where machine_type is not null) as machine_type,
        max_by(machine_id, trusted) filter (where machine_id is not null) as machine_id,
        max_by(host, trusted) filter (where host is not null) as host,
        max_by(gpus, trusted) filter (where gpus is not null) as gpus,
        max_by(nodes, trusted) filter (where nodes is not null) as nodes,
        max_by(gpu_model, trusted) filter (where gpu_model is not null) as gpu_model,
        max_by(gpu_memory_mib, trusted) filter (where gpu_memory_mib is not null) as gpu_memory_mib,
        max_by(peak_gpu_memory_mib, trusted) filter (where peak_gpu_memory_mib is not null) as peak_gpu_memory_mib,
        max_by(gpu_utilisation_mean_pct, trusted) filter (where gpu_utilisation_mean_pct is not null) as gpu_utilisation_mean_pct,
        max_by(setup_seconds, trusted) filter (where setup_seconds is not null) as setup_seconds,
        max_by(throughput, trusted) filter (where throughput is not null) as throughput,
        max_by(code, trusted) filter (where code is not null) as code,
        max_by(environment, trusted) filter (where environment is not null) as environment,
        max_by(image, trusted) filter (where image is not null) as image,
        max_by(data, trusted) filter (where data is not null) as data,
        max_by(config, trusted) filter (where config is not null) as config,
        max_by(data_class, trusted) filter (where data_class is not null) as data_class,
        max_by(metric_name, trusted) filter (where metric_name is not null) as metric_name,
        max_by(metric_value, trusted) filter (where metric_value is not null) as metric_value,
        max_by(sent_bytes, trusted) filter (where sent_bytes is not null) as sent_bytes,
        max_by(cost_usd, trusted) filter (where cost_usd is not null) as cost_usd,
        max(source) filter (where run_id = attempt) as source,
        max(observed_at) as observed_at
    from judged
    group by attempt
),

known_as as (
    select
        attempt,
        string_agg(distinct other_id, ';' order by other_id) as aliases
    from ids
    where other_id <> ''
        and other_id <> attempt
    group by attempt
)

select
    run_id,
    revision,
    workload,
    started_at,
    outcome,
    ended_at,
    submitted_at,
    workload_group,
    owner,
    kind,
    cause,
    error,
    location,
    provider,
    region,
    machine_type,
    machine_id,
    host,
    gpus,
    nodes,
    gpu_model,
    gpu_memory_mib,
    peak_gpu_memory_mib,
    gpu_utilisation_mean_pct,
    setup_seconds,
    throughput,
    code,
    environment,
    image,
    data,
    config,
    data_class,
    metric_name,
    metric_value,
    sent_bytes,
    cost_usd,
    source,
    aliases,
    observed_at,
    split_part(source, ':', 1) as told_by
from placed
where attempt not in (select known.attempt from several as known)
union all
select
    merged.run_id,
    merged.revision,
    merged.workload,
    merged.started_at,
    merged.outcome,
    merged.ended_at,
    merged.submitted_at,
    merged.workload_group,
    merged.owner,
    merged.kind,
    merged.cause,
    merged.error,
    merged.location,
    merged.provider,
    merged.region,
    merged.machine_type,
    merged.machine_id,
    merged.host,
    merged.gpus,
    merged.nodes,
    merged.gpu_model,
    merged.gpu_memory_mib,
    merged.peak_gpu_memory_mib,
    merged.gpu_utilisation_mean_pct,
    merged.setup_seconds,
    merged.throughput,
    merged.code,
    merged.environment,
    merged.image,
    merged.data,
    merged.config,
    merged.data_class,
    merged.metric_name,
    merged.metric_value,
    merged.sent_bytes,
    merged.cost_usd,
    merged.source,
    known_as.aliases,
    merged.observed_at,
    best.told_by
from merged
inner join best on best.attempt = merged.run_id
left join known_as on known_as.attempt = merged.run_id
