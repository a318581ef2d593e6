-- name: casewatch_agency_ratio
-- kind: gauge
-- help: Agency rate as DfE defines it: agency over agency and in post, in full-time equivalents; measured today (now)
--   or at the last 30 September.
-- unit: ratio
-- labels: authority, measured
-- value: rate
-- needs: contracts
-- source: DfE, children's social work workforce
-- publish: share of agency_workers in all_workers
-- owner: workforce team
select r.authority, r.measured, r.rate, w.agency_workers, w.agency_workers + w.in_post_workers as all_workers
from dfe_rates r
join workforce w on w.authority = r.authority and w.measured = r.measured
where r.measure = 'agency'
