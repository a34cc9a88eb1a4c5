-- A row: a workload that a run names, for completion on the command line.
select distinct
    workload,
    coalesce(workload_group, owner) as workload_group
from runs
