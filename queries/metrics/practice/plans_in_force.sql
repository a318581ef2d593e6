-- name: casewatch_plans_in_force
-- kind: gauge
-- help: Plans in force of open cases, by kind.
-- unit: plans
-- labels: authority, service, team, kind
-- value: plans
-- needs: teams, cases, plans
-- source: DOMAIN, other indicators
-- publish: count
-- owner: practice lead
-- max_series: 40000
select l.authority, l.service, l.team_id as team, k.kind, count(p.plan_id) as plans
from team_labels l
cross join (
  select column1 as kind from (values ('child_in_need'), ('child_protection'), ('looked_after'), ('pathway'))
) k
left join plans_in_force p
  on p.authority = l.authority and p.service = l.service and p.team_id = l.team_id and p.kind = k.kind
group by l.authority, l.service, l.team_id, k.kind
