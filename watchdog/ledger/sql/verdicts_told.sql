-- A row: the newest change of verdict of each workload, as it was told last.
select *
from events
where kind = 'verdict'
qualify row_number() over (partition by subject order by n desc) = 1
