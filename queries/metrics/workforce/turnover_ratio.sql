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
select r.authority, r.measured, r.rate, w.leavers
from dfe_rates r
join workforce w on w.authority = r.authority and w.measured = r.measured
where r.measure = 'turnover'
