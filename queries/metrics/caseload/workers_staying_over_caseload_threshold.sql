-- name: casewatch_workers_staying_over_caseload_threshold
-- kind: gauge
-- help: Workers who have been over a caseload threshold for at least so many working days in a row, the day itself
--   included; newly_qualified is 110 % of the norm of the newly qualified.
-- unit: workers
-- labels: authority, service, team, threshold, workdays
-- value: workers
-- needs: teams, workers, contracts, cases, allocations
-- source: DOMAIN, alerts: worker over threshold
-- publish: count
-- owner: performance team
-- max_series: 120000
select l.authority, l.service, l.team_id as team, t.threshold, d.workdays, count(o.worker_id) as workers
from worker_team_labels l
cross join (select threshold from caseload_thresholds) t
cross join (select column1 as workdays, column2 as at_least from (values ('1', 1), ('5', 5), ('10', 10))) d
left join workers_over_since o
  on o.authority = l.authority and o.service = l.service and o.team_id = l.team_id and o.threshold = t.threshold
  and o.workdays_over >= d.at_least
group by l.authority, l.service, l.team_id, t.threshold, d.workdays
