-- name: casewatch_turnover_ratio
-- kind: gauge
-- help: Turnover as DfE defines it: leavers in the year to the day over those in post on it, in full-time
--   equivalents; measured today (now) or at the last 30 September.
-- unit: ratio
-- labels: authority, measured
-- value: rate
-- needs: contracts
-- source: DfE, children's social work workforce
-- publish: over leavers
-- owner: workforce team
select authority, measured, case when in_post_fte > 0 then leavers_fte / (in_post_fte) end as rate,
  leavers
from workforce
