-- name: casewatch_caseload_max_cases
-- kind: gauge
-- help: Most cases held by one worker of the team.
-- unit: cases
-- labels: authority, service, team
-- value: cases
-- needs: teams, workers, contracts, cases, allocations
-- source: DOMAIN, caseload of a worker and bands
-- publish: over workers
-- owner: performance team
-- max_series: 10000
select l.authority, l.service, l.team_id as team, coalesce(c.max_cases, 0) as cases,
  coalesce(c.workers, 0) as workers
from worker_team_labels l
left join team_caseload c on c.authority = l.authority and c.service = l.service and c.team_id = l.team_id
