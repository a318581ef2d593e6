-- name: casewatch_newly_qualified_over_norm
-- kind: gauge
-- help: Newly qualified workers whose weighted caseload is above 110 % of the norm.
-- unit: workers
-- labels: authority, service, team
-- value: workers
-- needs: teams, workers, contracts, cases, allocations
-- source: DOMAIN, alerts: newly qualified
-- owner: performance team
-- max_series: 10000
select authority, service, team_id as team,
  sum(case when weighted > parameter('newly_qualified_over_norm_ratio') then 1 else 0 end) as workers
from worker_caseload
where newly_qualified
group by authority, service, team_id
