-- A row: the newest time that each notice was told, or could not be.
select *
from events
where kind = 'notice'
qualify row_number() over (partition by subject order by n desc) = 1
