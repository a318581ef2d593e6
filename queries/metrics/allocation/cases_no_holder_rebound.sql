-- name: casewatch_cases_no_holder_rebound
-- kind: gauge
-- help: Open cases without a holder above the lowest number of the last 20 working days; 0 where they are at it.
-- unit: cases
-- labels: authority
-- value: cases
-- needs: teams, cases, allocations
-- source: DOMAIN, alerts: rebound
-- publish: withheld it sets a day against one of the month before it: what differs may be one
--   child's case
-- owner: performance team
select authority, rebound as cases
from no_holder_movement
