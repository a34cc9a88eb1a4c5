-- A row: a machine that patrols stopped since a time, and when it was started again within two
-- hours. What a person ordered says nothing about the policy.
with stopped as (
    select
        machine,
        "at"
    from events
    where kind = 'stopped'
        and starts_with(subject, 'incidents/')
        and "at" >= $since
        and detail_json not like '%"ordered"%'
)

select
    stopped.machine,
    stopped."at",
    min(seen.started_at) as restarted_at
from stopped
left join raw_machines as seen
    on seen.id = stopped.machine
    and seen.started_at > stopped."at"
    and seen.started_at <= stopped."at" + interval 2 hours
group by 1, 2
