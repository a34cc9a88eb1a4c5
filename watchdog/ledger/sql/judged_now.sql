-- A row: how each machine was judged last, whatever patrols wanted of it then.
select *
from events
where kind = 'judged'
    and machine is not null
qualify row_number() over (partition by machine order by "at" desc, n desc) = 1
