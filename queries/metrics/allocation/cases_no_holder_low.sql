-- name: casewatch_cases_no_holder_low
-- kind: gauge
-- help: Lowest number of open cases without a holder at the end of any of the last 20 working days, as known now.
-- unit: cases
-- labels: authority
-- value: cases
-- needs: teams, cases, allocations
-- source: DOMAIN, alerts: rebound
-- publish: withheld it sets a day against one of the month before it: what differs may be one
--   child's case
-- owner: performance team
select authority, low as cases
from no_holder_movement
