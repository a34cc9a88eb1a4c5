-- A row: something that was found, decided or done, as it was told last.
select *
from raw_events
qualify row_number() over (
    partition by subject, n
    order by
        observed_at desc, "at", kind, machine, boot, detail_json
) = 1
