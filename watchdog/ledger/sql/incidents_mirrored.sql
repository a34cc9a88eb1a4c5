-- A row: an incident, and the last of its events that the table of events has.
select
    subject,
    max(cast(n as integer)) as n,
    max_by(kind, cast(n as integer)) as kind
from events
where starts_with(subject, 'incidents/')
group by subject
