-- name: casewatch_cases_in_transition
-- kind: gauge
-- help: Open cases without a holder within the grace period.
-- unit: cases
-- labels: authority, service, team, status
-- value: cases
-- needs: teams, cases, allocations
-- source: DOMAIN, allocation states
-- publish: count
-- owner: performance team
-- max_series: 50000
select authority, service, team_id as team, status, in_transition as cases
from team_status_counts
