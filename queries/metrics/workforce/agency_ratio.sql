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
select authority, measured, case when agency_fte + in_post_fte > 0 then agency_fte / (agency_fte + in_post_fte) end as rate,
  agency_workers, agency_workers + in_post_workers as all_workers
from workforce
