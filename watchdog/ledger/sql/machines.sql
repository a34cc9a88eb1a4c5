-- A row: what was seen of a machine at one moment. Each moment once.
select *
from raw_machines
qualify row_number() over (
    partition by id, observed_at
    order by
        provider, account, region, zone, name, state, metered, machine_type, gpus,
        gpu_model, gpu_memory_mib, purchase, first_launched_at, started_at, stopped_at,
        machine_group, boot, hourly_usd, saves_usd, stopped_hourly_usd, price_basis,
        price_source, price_as_of, price_why, tags_json, stop_terms_json, operating_system,
        controller
) = 1
