-- A row: alerts began or ceased to arrive, or the second channel was told so; the oldest first.
select
    "at",
    kind
from events
where kind in ('channel_down', 'channel_up', 'channel_told')
order by "at", kind
