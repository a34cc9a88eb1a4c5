-- A row: a machine as it was seen last.
select *
from machines
qualify row_number() over (partition by id order by observed_at desc) = 1
