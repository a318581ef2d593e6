-- name: casewatch_teams_without_manager
-- kind: gauge
-- help: Open teams without a manager in post.
-- unit: teams
-- labels: authority, service
-- value: teams
-- needs: teams, contracts
-- source: DOMAIN, span of control
-- publish: count
-- owner: workforce team
select l.authority, l.service, count(m.team_id) as teams
from (select distinct authority, service from team_labels) l
left join teams_without_manager m on m.authority = l.authority and m.service = l.service
group by l.authority, l.service
