-- A row: a bucket that any run names in its data, aliases or config, as `s3://bucket/…`.
with told as (
    select concat_ws(' ', data, aliases, config) as words
    from raw_runs
)

select distinct unnest(regexp_extract_all(words, '\bs3[an]?://([a-z0-9][a-z0-9.-]+)', 1)) as bucket
from told
