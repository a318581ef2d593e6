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
select l.authority, l.service, l.team_id as team, t.threshold, count(c.worker_id) as workers
from (
  select authority, service, team_id from team_labels
  union
  select authority, service, team_id from worker_caseload
) l
cross join thresholds t
left join (select * from worker_caseload where cases >= parameter('caseload_watch_cases')) c
  on c.authority = l.authority and c.service = l.service and c.team_id = l.team_id and c.cases_per_fte > t.per_fte
group by l.authority, l.service, l.team_id, t.threshold
