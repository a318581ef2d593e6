-- name: casewatch_leavers_service_median_calendardays
-- kind: gauge
-- help: Median length of service of the directly employed child-and-family social workers who left in the year, the
--   spell that ended alone; measured today (now) or at the last 30 September.
-- unit: calendardays
-- labels: authority, measured
-- value: served
-- needs: contracts
-- source: DfE, children's social work workforce
-- publish: over leavers
-- owner: workforce team
select authority, measured, percentile_cont(0.5) within group (order by cast(served_calendardays as double)) as served,
  count(*) as leavers
from leavers_in_year
group by authority, measured
