-- A row: one of the last three sights of a storage.
select *
from storage
qualify row_number() over (partition by id order by observed_at desc) <= 3
