-- name: casewatch_cases_unallocated
-- kind: gauge
-- help: Open cases without a holder past the grace period.
-- unit: cases
-- labels: authority, service, team, status
-- value: cases
-- needs: teams, cases, allocations
-- source: DOMAIN, allocation states
-- publish: count
-- owner: performance team
-- max_series: 50000
select authority, service, team_id as team, status, unallocated as cases
from team_status_counts
