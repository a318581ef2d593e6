-- name: casewatch_supervisions_owed
-- kind: gauge
-- help: Cases of protection and newly qualified workers that are owed supervision by a day, late or not.
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
left join supervisions_owed o
  on o.authority = l.authority and o.service = l.service and o.team_id = l.team_id and o.kind = k.kind
group by l.authority, l.service, l.team_id, k.kind
