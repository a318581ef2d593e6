-- name: casewatch_cases_open
-- kind: gauge
-- help: Open cases in each allocation state.
-- unit: cases
-- labels: authority, service, team, state
-- value: cases
-- needs: teams, cases, allocations
-- source: DOMAIN, allocation states
-- publish: count
-- owner: performance team
-- max_series: 50000
select l.authority, l.service, l.team_id as team, s.state, count(a.case_id) as cases
from team_labels l
cross join allocation_states s
left join allocation_state a
  on a.authority = l.authority and a.service = l.service and a.team_id = l.team_id and a.state = s.state
group by l.authority, l.service, l.team_id, s.state
