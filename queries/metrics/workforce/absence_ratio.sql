-- name: casewatch_absence_ratio
-- kind: gauge
-- help: Sickness absence rate as DfE defines it: full-time-equivalent days lost in the year over those in post times
--   the working days of a year; measured today (now) or at the last 30 September.
-- unit: ratio
-- labels: authority, measured
-- value: rate
-- needs: contracts, absences
-- source: DfE, children's social work workforce
-- publish: over absent_workers
-- owner: workforce team
select r.authority, r.measured, r.rate, w.absent_workers
from dfe_rates r
join workforce w on w.authority = r.authority and w.measured = r.measured
where r.measure = 'absence'
