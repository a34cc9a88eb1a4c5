-- A row: a finding of confusion as it was told last.
select *
from events
where kind = 'confusion'
