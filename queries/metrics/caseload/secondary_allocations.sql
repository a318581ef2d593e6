-- name: casewatch_secondary_allocations
-- kind: gauge
-- help: Active secondary allocations of open cases, by the team of the case.
-- unit: allocations
-- labels: authority, service, team
-- value: allocations
-- needs: teams, cases, allocations
-- source: DOMAIN, caseload of a worker
-- publish: count
-- owner: performance team
-- max_series: 10000
select l.authority, l.service, l.team_id as team, count(a.allocation_id) as allocations
from team_labels l
left join active_secondaries a on a.authority = l.authority and a.service = l.service and a.team_id = l.team_id
group by l.authority, l.service, l.team_id
