-- name: casewatch_absence_ratio
-- kind: gauge
-- help: Sickness absence rate as DfE defines it: full-time-equivalent days lost in the year over those in post times
--   the working days of a year; measured today (now) or at the last 30 September.
-- unit: ratio
-- labels: authority, measured
-- value: rate
-- needs: contracts, absences
-- source: DfE, children's social work workforce
-- owner: workforce team
select authority, measured, rate
from dfe_rates
where measure = 'absence'
