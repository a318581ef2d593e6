-- name: casewatch_caseload_percentile_cases_per_fte
-- kind: gauge
-- help: Median (50) and ninetieth percentile (90) of the workers' cases per full-time equivalent, over workers with
--   a case; service and team are "all" on the rows for an authority or a service.
-- unit: cases_per_fte
-- labels: authority, service, team, percentile
-- value: cases_per_fte
-- needs: teams, workers, contracts, cases, allocations
-- source: DOMAIN, caseload of a worker and bands
-- publish: over workers
-- owner: performance team
-- max_series: 40000
select authority, service, team_id as team, '50' as percentile, p50_cases_per_fte as cases_per_fte, fte_workers as workers
from team_caseload
union all
select authority, service, team_id as team, '90' as percentile, p90_cases_per_fte as cases_per_fte, fte_workers as workers
from team_caseload
