-- name: casewatch_cases_closed_per_workday
-- kind: gauge
-- help: Cases closed a working day, mean of the last 20.
-- unit: cases
-- labels: authority
-- value: cases
-- needs: teams, cases
-- source: DOMAIN, days of flow
-- publish: over closed
-- owner: performance team
select authority, closed_per_workday as cases, closed
from case_flow
