-- name: casewatch_caseload_mean_cases
-- kind: gauge
-- help: Mean number of cases held by a worker, over workers with a case, whatever their hours; service and team are
--   "all" on the rows for an authority or a service.
-- unit: cases
-- labels: authority, service, team
-- value: cases
-- needs: teams, workers, contracts, cases, allocations
-- source: DOMAIN, caseload of a worker and bands
-- publish: over workers
-- owner: performance team
-- max_series: 20000
select authority, service, team_id as team, mean_cases as cases, workers
from team_caseload
