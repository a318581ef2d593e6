-- name: casewatch_workers_over_caseload_threshold
-- kind: gauge
-- help: Workers with more cases per full-time equivalent than the threshold, and at least the least number of cases
--   worth a look.
-- unit: workers
-- labels: authority, service, team, threshold
-- value: workers
-- needs: teams, workers, contracts, cases, allocations
-- source: DOMAIN, alerts: worker over threshold
-- owner: performance team
-- max_series: 30000
with thresholds as (
  select 'watch' as threshold, parameter('caseload_watch_per_fte') as per_fte
  union all
  select 'high' as threshold, parameter('caseload_high_per_fte') as per_fte
  union all
  select 'extreme' as threshold, parameter('caseload_extreme_per_fte') as per_fte
)
select c.authority, c.service, c.team_id as team, t.threshold,
  sum(case when c.cases_per_fte > t.per_fte and c.cases >= parameter('caseload_watch_cases') then 1 else 0 end)
    as workers
from worker_caseload c
cross join thresholds t
group by c.authority, c.service, c.team_id, t.threshold
