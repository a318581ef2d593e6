-- name: casewatch_caseload_percentile_cases
-- kind: gauge
-- help: Median (50) and ninetieth percentile (90) of the cases held by a worker, over workers with a case, whatever
--   their hours; service and team are "all" on the rows for an authority or a service.
-- unit: cases
-- labels: authority, service, team, percentile
-- value: cases
-- needs: teams, workers, contracts, cases, allocations
-- source: DOMAIN, caseload of a worker and bands
-- publish: over workers
-- owner: performance team
-- max_series: 40000
select authority, service, team_id as team, '50' as percentile, p50_cases as cases, workers from team_caseload
union all
select authority, service, team_id as team, '90' as percentile, p90_cases as cases, workers from team_caseload
