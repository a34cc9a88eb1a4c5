-- A row: a reading, or the reading of a stretch: intervals of one machine that follow each other
-- within a clock hour and a boot and are alike. Alike are intervals in which the same series told
-- the same columns, each GPU worked or not, and of those in which none did, the same moved bytes
-- and held memory. So what was unknown stays unknown, and whoever asks when a machine worked gets
-- the answer that the finer rows gave.
-- A stretch has the maxima of its intervals, their mean weighted by what was measured of them, and
-- the sums of their bytes.
with told as (
    select
        *,
        coalesce(utilisation_max_pct >= $threshold_pct, false) as works,
        concat_ws(
            ' ',
            coalesce(gpu, '-'), source, coalesce(workload, '-'),
            utilisation_max_pct is null, utilisation_mean_pct is null,
            memory_used_mib is null, memory_total_mib is null, power_w is null,
            received_bytes is null, sent_bytes is null, written_bytes is null, coverage is null,
            gpu is not null and coalesce(utilisation_max_pct >= $threshold_pct, false)
        ) as shape,
        concat_ws(
            ' ',
            coalesce(memory_used_mib >= $parked_mib, false),
            coalesce(
                received_bytes >= $transfer_bytes_per_s * (epoch(ended_at) - epoch(started_at)),
                false
            ),
            coalesce(
                sent_bytes >= $transfer_bytes_per_s * (epoch(ended_at) - epoch(started_at)), false
            )
        ) as quiet_shape
    from readings
),

intervals as (
    select
        resource,
        started_at,
        ended_at,
        date_trunc('hour', started_at) as hour,
        string_agg(shape, ', ' order by gpu, source) as shapes,
        string_agg(quiet_shape, ', ' order by gpu, source) as quiet_shapes,
        case
            when count(gpu) > 0 then bool_or(works and gpu is not null)
            else bool_or(works)
        end as works
    from told
    group by resource, started_at, ended_at
),

boots as (
    select distinct
        id,
        started_at
    from raw_machines
    where started_at is not null
),

within_boots as (
    select
        each.resource,
        each.started_at,
        each.ended_at,
        each.hour,
        concat_ws(
            '; ',
            each.works, each.shapes, case when not each.works then each.quiet_shapes end
        ) as shape,
        count(boots.id) as boots
    from intervals as each
    left join boots on boots.id = each.resource and boots.started_at <= each.started_at
    group by
        each.resource, each.started_at, each.ended_at, each.hour, each.works, each.shapes,
        each.quiet_shapes
),

turns as (
    select
        resource,
        started_at,
        ended_at,
        case
            when
                lag(ended_at) over in_time = started_at
                and lag(hour) over in_time = hour
                and lag(boots) over in_time = boots
                and lag(shape) over in_time = shape
                and ended_at <= hour + interval '1' hour
                then 0
            else 1
        end as turn
    from within_boots
    window in_time as (partition by resource order by started_at, ended_at)
),

stretches as (
    select
        resource,
        started_at,
        ended_at,
        sum(turn) over (
            partition by resource
            order by started_at, ended_at
            rows between unbounded preceding and current row
        ) as stretch
    from turns
),

weighed as (
    select
        told.*,
        stretches.stretch,
        epoch(told.ended_at) - epoch(told.started_at) as seconds,
        (epoch(told.ended_at) - epoch(told.started_at)) * coalesce(told.coverage, 1) as measured
    from told
    inner join stretches
        on stretches.resource = told.resource
        and stretches.started_at = told.started_at
        and stretches.ended_at = told.ended_at
)

select
    resource,
    gpu,
    source,
    min(started_at) as started_at,
    max(ended_at) as ended_at,
    min(date) as date,
    max(utilisation_max_pct) as utilisation_max_pct,
    case
        when min(utilisation_mean_pct) = max(utilisation_mean_pct) then min(utilisation_mean_pct)
        when sum(measured) > 0 then
            sum(utilisation_mean_pct * measured order by started_at)
            / sum(measured order by started_at)
        else
            sum(utilisation_mean_pct * seconds order by started_at) / sum(seconds)
    end as utilisation_mean_pct,
    max(memory_used_mib) as memory_used_mib,
    max(memory_total_mib) as memory_total_mib,
    max(power_w) as power_w,
    sum(received_bytes order by started_at) as received_bytes,
    sum(sent_bytes order by started_at) as sent_bytes,
    sum(written_bytes order by started_at) as written_bytes,
    case
        when min(coverage) = max(coverage) then min(coverage)
        else sum(coverage * seconds order by started_at) / sum(seconds)
    end as coverage,
    max(workload) as workload,
    max(observed_at) as observed_at
from weighed
group by resource, gpu, source, stretch
