-- name: casewatch_cases_holder_unverified
-- kind: gauge
-- help: Open cases whose holder cannot be checked because the authority supplies no contracts.
-- unit: cases
-- labels: authority, service, team
-- value: cases
-- needs: teams, cases, allocations
-- source: DOMAIN, allocation states
-- publish: count
-- owner: performance team
-- max_series: 10000
select l.authority, l.service, l.team_id as team,
  sum(case when a.holder_unverified then 1 else 0 end) as cases
from team_labels l
left join allocation_state a on a.authority = l.authority and a.service = l.service and a.team_id = l.team_id
group by l.authority, l.service, l.team_id
