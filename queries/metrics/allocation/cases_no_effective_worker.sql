-- name: casewatch_cases_no_effective_worker
-- kind: gauge
-- help: Open cases without an effective worker: every state but allocated, so that cases parked on a tray do not
--   show green.
-- unit: cases
-- labels: authority, service, team, status
-- value: cases
-- needs: teams, cases, allocations
-- source: DOMAIN, allocation states
-- publish: count
-- owner: performance team
-- max_series: 50000
select authority, service, team_id as team, status, no_effective_worker as cases
from team_status_counts
