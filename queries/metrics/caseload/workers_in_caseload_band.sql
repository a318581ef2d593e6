-- name: casewatch_workers_in_caseload_band
-- kind: gauge
-- help: Workers with a case-holding contract by cases per full-time equivalent, in local bands.
-- unit: workers
-- labels: authority, service, team, band
-- value: workers
-- needs: teams, workers, contracts, cases, allocations
-- source: DOMAIN, caseload of a worker and bands
-- publish: count
-- owner: performance team
-- max_series: 50000
select t.authority, t.service, t.team_id as team, b.band, count(w.worker_id) as workers
from (select distinct authority, service, team_id from worker_caseload where case_holding) t
cross join (select band from caseload_bands where scheme = 'local') b
left join (select * from worker_bands where scheme = 'local') w
  on w.authority = t.authority and w.service = t.service and w.team_id = t.team_id and w.band = b.band
group by t.authority, t.service, t.team_id, b.band
