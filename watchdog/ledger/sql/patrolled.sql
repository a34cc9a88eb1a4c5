-- A row: a moment at which a patrol saw an account in a region whole.
with scopes as (
    select "at", cast(unnest(cast(scopes_json as json[])) as json) as scope
    from patrols
    where "at" >= $since
)
select
    "at",
    scope ->> 'provider' as provider,
    scope ->> 'account' as account,
    scope ->> 'region' as region
from scopes
