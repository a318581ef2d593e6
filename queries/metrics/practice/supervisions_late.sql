-- name: casewatch_supervisions_late
-- kind: gauge
-- help: Sessions of supervision whose due day has passed, for cases of protection and for the newly qualified.
-- unit: supervisions
-- labels: authority, service, team, kind
-- value: supervisions
-- needs: teams, workers, contracts, cases, plans, supervisions
-- source: DOMAIN, timescales
-- publish: count
-- owner: practice lead
-- max_series: 20000
select l.authority, l.service, l.team_id as team, k.kind, count(o.kind) as supervisions
from worker_team_labels l
cross join (select column1 as kind from (values ('child_protection'), ('newly_qualified'))) k
left join (select * from supervisions_owed where late) o
  on o.authority = l.authority and o.service = l.service and o.team_id = l.team_id and o.kind = k.kind
group by l.authority, l.service, l.team_id, k.kind
