-- name: casewatch_time_to_allocation_median_workdays
-- kind: gauge
-- help: Median time from the start of the clock to the first effective worker (Kaplan-Meier), over cases whose clock
--   started in the last 12 months and the last 28 days; absent when half of them have not been reached.
-- unit: workdays
-- labels: authority, period
-- value: waited
-- needs: teams, cases, allocations
-- source: DOMAIN, time to allocation
-- publish: over cases
-- owner: performance team
select authority, period, min(case when still_waiting <= 0.5 + 1e-12 then workdays end) as waited, max(cases) as cases
from allocation_survival
group by authority, period
having min(still_waiting) <= 0.5 + 1e-12
