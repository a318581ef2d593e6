-- name: casewatch_cases_opened_per_workday
-- kind: gauge
-- help: Cases opened a working day, mean of the last 20.
-- unit: cases
-- labels: authority
-- value: cases
-- needs: teams, cases
-- source: DOMAIN, days of flow
-- publish: over opened
-- owner: performance team
select authority, opened_per_workday as cases, opened
from case_flow
