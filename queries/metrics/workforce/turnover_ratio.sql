-- name: casewatch_turnover_ratio
-- kind: gauge
-- help: Turnover as DfE defines it: leavers in the year to the day over those in post on it, in full-time
--   equivalents; measured today (now) or at the last 30 September.
-- unit: ratio
-- labels: authority, measured
-- value: rate
-- needs: contracts
-- source: DfE, children's social work workforce
-- owner: workforce team
select authority, measured, rate
from dfe_rates
where measure = 'turnover'
