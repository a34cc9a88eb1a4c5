-- A row: a storage that was there when it was seen last.
select *
from (
    select *
    from storage
    qualify row_number() over (partition by id order by observed_at desc) = 1
) as newest
where state = 'present'
