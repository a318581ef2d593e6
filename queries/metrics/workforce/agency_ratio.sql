-- name: casewatch_agency_ratio
-- kind: gauge
-- help: Agency rate as DfE defines it: agency over agency and in post, in full-time equivalents; measured today (now)
--   or at the last 30 September.
-- unit: ratio
-- labels: authority, measured
-- value: rate
-- needs: contracts
-- source: DfE, children's social work workforce
-- owner: workforce team
select authority, measured, rate
from dfe_rates
where measure = 'agency'
