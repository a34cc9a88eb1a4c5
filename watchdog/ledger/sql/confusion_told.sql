-- A row: a finding of confusion as it was told last, of those that went on after $since.
select *
from events
where kind = 'confusion'
    and "at" >= cast($since as timestamptz)
