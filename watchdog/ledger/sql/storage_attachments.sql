-- A row: a disk or an address, and the machine (NULL: none) that it was attached to when that was seen to change.
select
    id,
    attached_to,
    min(coalesce(attached_at, unattached_since, observed_at)) as started_at
from (
    select
        *,
        sum(case when attached_to is not distinct from before then 0 else 1 end) over (
            partition by id
            order by observed_at
            rows between unbounded preceding and current row
        ) as stay
    from (
        select
            *,
            lag(attached_to) over (partition by id order by observed_at) as before
        from storage
        where kind in ('volume', 'address') and state = 'present'
    ) as seen
) as told
group by id, stay, attached_to
