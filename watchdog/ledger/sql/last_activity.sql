-- A row: a machine, and what is remembered of its present boot: from when until when it was
-- measured, when it first and last worked, and how many seconds were measured since.
-- It worked where a GPU (without any: the host's processor) reached $threshold_pct, or where it
-- moved $transfer_bytes_per_s; only the former is a first activity.
-- All rows are read, not only the newest of each interval: the largest value that was ever told
-- can only make a machine look busier.
-- optional: $transfer_bytes_per_s, $since, $until
-- prune: readings.date >= $since
-- prune: readings.date <= $until
with intervals as (
    select
        each.resource,
        each.started_at,
        each.ended_at,
        count(each.gpu) > 0 as has_gpus,
        max(case when each.gpu is not null then each.utilisation_max_pct end) as gpu_pct,
        max(case when each.gpu is null then each.utilisation_max_pct end) as host_pct,
        max(greatest(coalesce(each.received_bytes, 0), coalesce(each.sent_bytes, 0))) as bytes
    from raw_readings as each
    inner join machines_now as machine on machine.id = each.resource
    where (machine.started_at is null or each.started_at >= machine.started_at)
        and ($since is null or each.started_at >= $since)
        and ($until is null or each.ended_at <= $until)
    group by each.resource, each.started_at, each.ended_at
),

judged as (
    select
        resource,
        started_at,
        ended_at,
        case when has_gpus then gpu_pct else host_pct end as pct,
        bytes >= $transfer_bytes_per_s * (epoch(ended_at) - epoch(started_at)) as moving
    from intervals
),

activity as (
    select
        resource,
        min(case when pct is not null then started_at end) as seen_from,
        max(case when pct is not null then ended_at end) as measured_until,
        min(case when pct >= $threshold_pct then started_at end) as first_active_at,
        max(case when pct >= $threshold_pct or moving then ended_at end) as last_active_at
    from judged
    group by resource
),

quiet as (
    select
        judged.resource,
        epoch(judged.ended_at) as ended_s,
        epoch(judged.started_at) as started_s,
        max(epoch(judged.ended_at)) over (
            partition by judged.resource
            order by judged.started_at, judged.ended_at
            rows between unbounded preceding and 1 preceding
        ) as measured_before_s
    from judged
    inner join activity on activity.resource = judged.resource
    where judged.pct is not null
        and (activity.last_active_at is null or judged.started_at >= activity.last_active_at)
),

measured as (
    select
        resource,
        sum(greatest(0, ended_s - greatest(started_s, coalesce(measured_before_s, started_s)))) as s
    from quiet
    group by resource
)

select
    activity.resource,
    activity.seen_from,
    activity.measured_until,
    activity.first_active_at,
    activity.last_active_at,
    coalesce(measured.s, 0) as quiet_measured_s
from activity
left join measured on measured.resource = activity.resource
