-- A row: an account in a region, and from when until when patrols have watched it.
with scopes as (
    select cast(unnest(cast(scopes_json as json[])) as json) as scope
    from patrols
)
select
    scope ->> 'provider' as provider,
    scope ->> 'account' as account,
    scope ->> 'region' as region,
    min(cast(scope ->> 'watched_from' as timestamp with time zone)) as watched_from,
    max(cast(scope ->> 'watched_until' as timestamp with time zone)) as watched_until
from scopes
group by 1, 2, 3
