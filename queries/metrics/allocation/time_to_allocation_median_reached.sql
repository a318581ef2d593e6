-- name: casewatch_time_to_allocation_median_reached
-- kind: gauge
-- help: 1 where the median time to allocation has been reached, 0 where more than half of the cases still wait.
-- unit: flag
-- labels: authority, period
-- value: reached
-- needs: teams, cases, allocations
-- source: DOMAIN, time to allocation
-- publish: over cases
-- owner: performance team
select authority, period, max(case when still_waiting <= 0.5 + 1e-12 then 1 else 0 end) as reached, max(cases) as cases
from allocation_survival
group by authority, period
