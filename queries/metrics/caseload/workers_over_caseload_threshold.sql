-- name: casewatch_workers_over_caseload_threshold
-- kind: gauge
-- help: Workers with more cases per full-time equivalent than the threshold, and at least the least number of cases
--   worth a look.
-- unit: workers
-- labels: authority, service, team, threshold
-- value: workers
-- needs: teams, workers, contracts, cases, allocations
-- source: DOMAIN, alerts: worker over threshold
-- publish: count
-- owner: performance team
-- max_series: 30000
select l.authority, l.service, l.team_id as team, t.threshold, count(c.worker_id) as workers
from worker_team_labels l
cross join (select threshold from caseload_thresholds where not newly_qualified_only) t
left join workers_over_threshold c
  on c.authority = l.authority and c.service = l.service and c.team_id = l.team_id and c.threshold = t.threshold
group by l.authority, l.service, l.team_id, t.threshold
