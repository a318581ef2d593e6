-- name: casewatch_cases_no_holder_rise
-- kind: gauge
-- help: Change of the open cases without a holder over 5 working days.
-- unit: cases
-- labels: authority
-- value: cases
-- needs: teams, cases, allocations
-- source: DOMAIN, alerts: rising
-- publish: withheld it sets a day against one of the month before it: what differs may be one
--   child's case
-- owner: performance team
select authority, rise as cases
from no_holder_movement
