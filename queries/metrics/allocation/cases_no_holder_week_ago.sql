-- name: casewatch_cases_no_holder_week_ago
-- kind: gauge
-- help: Open cases without a holder at the end of the fifth working day before the day itself, as known now.
-- unit: cases
-- labels: authority
-- value: cases
-- needs: teams, cases, allocations
-- source: DOMAIN, alerts: rising
-- publish: withheld it sets a day against one of the month before it: what differs may be one
--   child's case
-- owner: performance team
select authority, five_workdays_ago as cases
from no_holder_movement
