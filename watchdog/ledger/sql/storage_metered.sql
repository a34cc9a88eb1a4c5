-- A row: a storage, and the newest clock hour that it was charged for, from $since on.
-- prune: charges.date >= $since
select
    ResourceId as resource,
    max(ChargePeriodStart) as newest_hour
from raw_charges
where x_Meter = 'storage' and ChargePeriodStart >= cast($since as timestamp with time zone)
group by ResourceId
