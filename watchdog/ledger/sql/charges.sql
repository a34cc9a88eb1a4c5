-- A row: what one resource was used for in one clock hour and phase. Of each hour the newest set
-- of phases is believed as a whole: one that vanished when the hour was metered again is gone.
-- The date, which follows from the hour, stands in the keys so that days can be left out early.
with newest as (
    select
        ResourceId,
        x_Meter,
        date,
        date_trunc('hour', ChargePeriodStart) as hour,
        max(observed_at) as observed_at
    from raw_charges
    group by ResourceId, x_Meter, date, date_trunc('hour', ChargePeriodStart)
)

select each.*
from raw_charges as each
inner join newest
    on newest.ResourceId = each.ResourceId
    and newest.x_Meter = each.x_Meter
    and newest.date = each.date
    and newest.hour = date_trunc('hour', each.ChargePeriodStart)
    and newest.observed_at = each.observed_at
qualify row_number() over (
    partition by each.ResourceId, each.x_Meter, each.date, newest.hour, each.x_Phase
    order by
        each.ChargePeriodStart, each.ProviderName, each.SubAccountId, each.RegionId,
        each.ResourceName, each.ResourceType, each.ServiceName, each.ChargeCategory,
        each.ChargePeriodEnd, each.ConsumedQuantity, each.ConsumedUnit, each.ListUnitPrice,
        each.ListCost, each.EffectiveCost, each.BillingCurrency, each.Tags, each.x_Basis,
        each.x_MachineGroup, each.x_Boot
) = 1
