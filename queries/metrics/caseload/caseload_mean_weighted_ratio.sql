-- name: casewatch_caseload_mean_weighted_ratio
-- kind: gauge
-- help: Mean weighted caseload of the workers with a case, 1 being a full one; service and team are "all" on the rows
--   for an authority or a service.
-- unit: ratio
-- labels: authority, service, team
-- value: weighted
-- needs: teams, workers, contracts, cases, allocations
-- source: DOMAIN, weighted
-- publish: over workers
-- owner: performance team
-- max_series: 20000
select authority, service, team_id as team, mean_weighted as weighted, weighted_workers as workers
from team_caseload
