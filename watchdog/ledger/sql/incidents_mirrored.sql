-- A row: an incident, and the number of its last event that the table of events has.
select
    subject,
    max(n) as n
from events
where starts_with(subject, 'incidents/')
group by subject
