-- name: casewatch_newly_qualified_over_norm
-- kind: gauge
-- help: Newly qualified workers whose weighted caseload is above 110 % of the norm.
-- unit: workers
-- labels: authority, service, team
-- value: workers
-- needs: teams, workers, contracts, cases, allocations
-- source: DOMAIN, alerts: newly qualified
-- publish: count
-- owner: performance team
-- max_series: 10000
select l.authority, l.service, l.team_id as team, count(c.worker_id) as workers
from worker_team_labels l
left join (select * from workers_over_threshold where threshold = 'newly_qualified') c
  on c.authority = l.authority and c.service = l.service and c.team_id = l.team_id
group by l.authority, l.service, l.team_id
