-- A row: an account in a region of which starts and stops were asked for and could not be read, and
-- of which time, as the newest patrol told that saw it. Patrols that did not tell owe nothing.
with scopes as (
    select
        "at",
        ended_at,
        patrol_id,
        cast(unnest(cast(scopes_json as json[])) as json) as scope
    from patrols
),

told as (
    select
        "at",
        ended_at,
        patrol_id,
        scope ->> 'provider' as provider,
        scope ->> 'account' as account,
        scope ->> 'region' as region,
        cast(scope ->> 'history_owed_from' as timestamp with time zone) as owed_from,
        cast(scope ->> 'history_owed_until' as timestamp with time zone) as owed_until
    from scopes
),

newest as (
    select *
    from told
    qualify row_number() over (
        partition by provider, account, region
        order by "at" desc, ended_at desc, patrol_id desc
    ) = 1
)

select
    provider,
    account,
    region,
    owed_from,
    owed_until
from newest
where owed_from is not null
