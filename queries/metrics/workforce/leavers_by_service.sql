-- name: casewatch_leavers_by_service
-- kind: gauge
-- help: Directly employed child-and-family social workers who left in the year, by whole years served in the spell
--   that ended; measured today (now) or at the last 30 September.
-- unit: workers
-- labels: authority, measured, band
-- value: workers
-- needs: contracts
-- source: DfE, children's social work workforce
-- publish: count
-- owner: workforce team
-- max_series: 5000
select w.authority, w.measured, b.band, count(l.worker_id) as workers
from workforce w
cross join service_bands b
left join leavers_in_year l
  on l.authority = w.authority and l.measured = w.measured
  and l.served_years >= b.from_years and l.served_years < b.to_years
group by w.authority, w.measured, b.band
