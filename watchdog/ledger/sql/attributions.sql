-- A row: which workload a resource belonged to during a stretch of time. Of each resource the
-- newest set is believed as a whole, so that a tag set today re-attributes the past.
with newest as (
    select
        resource,
        max(observed_at) as observed_at
    from raw_attributions
    group by resource
)

select each.*
from raw_attributions as each
inner join newest
    on newest.resource = each.resource
    and newest.observed_at = each.observed_at
qualify row_number() over (
    partition by
        each.resource, each.gpu, each.started_at, each.workload, each.workload_group, each.rule
    order by each.ended_at, each.owner, each.kind, each.data_class, each.share
) = 1
