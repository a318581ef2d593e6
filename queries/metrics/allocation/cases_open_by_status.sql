-- name: casewatch_cases_open_by_status
-- kind: gauge
-- help: Open cases by status.
-- unit: cases
-- labels: authority, service, team, status
-- value: cases
-- needs: teams, cases, allocations
-- source: DOMAIN, allocation states
-- publish: count
-- owner: performance team
-- max_series: 50000
select authority, service, team_id as team, status, cases as cases
from team_status_counts
