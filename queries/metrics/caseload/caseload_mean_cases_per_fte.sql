-- name: casewatch_caseload_mean_cases_per_fte
-- kind: gauge
-- help: Mean of the workers' cases per full-time equivalent, over workers with a case; service and team are "all" on
--   the rows for an authority or a service.
-- unit: cases_per_fte
-- labels: authority, service, team
-- value: cases_per_fte
-- needs: teams, workers, contracts, cases, allocations
-- source: DOMAIN, caseload of a worker and bands
-- publish: over workers
-- owner: performance team
-- max_series: 20000
select authority, service, team_id as team, mean_cases_per_fte as cases_per_fte, fte_workers as workers
from team_caseload
