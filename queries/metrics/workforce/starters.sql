-- name: casewatch_starters
-- kind: gauge
-- help: Directly employed child-and-family social workers who started in the year, by origin: from agency work (a
--   conversion) or otherwise; measured today (now) or at the last 30 September.
-- unit: workers
-- labels: authority, measured, origin
-- value: workers
-- needs: contracts, workers
-- source: DOMAIN, other indicators: conversions from agency to permanent
-- publish: count
-- owner: workforce team
select w.authority, w.measured, o.origin, count(s.worker_id) as workers
from workforce w
cross join (select column1 as origin, column2 as from_agency from (values ('agency', true), ('other', false))) o
left join starters_in_year s
  on s.authority = w.authority and s.measured = w.measured and s.from_agency = o.from_agency
group by w.authority, w.measured, o.origin
