-- name: team_caseload
-- row: a team, a service or an authority with its workers' caseloads: highest, mean and percentiles
-- why: A mean hides the worker with forty; the maximum and the ninetieth percentile show her without naming her. Means
--   and percentiles are over workers with at least one case; those per full-time equivalent over fte_workers of them,
--   the weighted ones over weighted_workers. Levels as in no_holder_waits: 'all' stands for several.
select authority,
  coalesce(service, 'all') as service,
  coalesce(team_id, 'all') as team_id,
  count(*) as workers,
  count(cases_per_fte) as fte_workers,
  count(weighted) as weighted_workers,
  max(cases) as max_cases,
  max(cases_per_fte) as max_cases_per_fte,
  avg(cast(cases as double)) as mean_cases,
  avg(cases_per_fte) as mean_cases_per_fte,
  max(weighted) as max_weighted,
  avg(weighted) as mean_weighted,
  percentile_cont(0.5) within group (order by cast(cases as double)) as p50_cases,
  percentile_cont(0.9) within group (order by cast(cases as double)) as p90_cases,
  percentile_cont(0.5) within group (order by cases_per_fte) as p50_cases_per_fte,
  percentile_cont(0.9) within group (order by cases_per_fte) as p90_cases_per_fte
from worker_caseload
where cases > 0
group by grouping sets ((authority), (authority, service), (authority, service, team_id))
