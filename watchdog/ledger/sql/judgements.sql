-- A row: how a machine was judged from one patrol on, until its next row. Up to $until.
select *
from events
where kind = 'judged'
    and machine is not null
    and "at" <= cast($until as timestamptz)
