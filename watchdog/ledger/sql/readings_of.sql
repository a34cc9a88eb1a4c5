-- A row: a reading that began at or after a time, of some resources or of all.
-- optional: $resources
-- prune: readings.date >= $since
select *
from readings
where date >= cast($since as date)
    and started_at >= $since
    and ($resources is null or list_contains($resources, resource))
