-- name: casewatch_caseload_max_cases_per_fte
-- kind: gauge
-- help: Most cases per full-time equivalent held by one worker of the team.
-- unit: cases_per_fte
-- labels: authority, service, team
-- value: cases_per_fte
-- needs: teams, workers, contracts, cases, allocations
-- source: DOMAIN, caseload of a worker and bands
-- publish: over workers
-- owner: performance team
-- max_series: 10000
select authority, service, team_id as team, max_cases_per_fte as cases_per_fte, fte_workers as workers
from team_caseload
where team_id <> 'all'
