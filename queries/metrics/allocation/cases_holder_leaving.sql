-- name: casewatch_cases_holder_leaving
-- kind: gauge
-- help: Allocated cases whose holder leaves within 20 working days: the earliest warning of cases without a worker.
-- unit: cases
-- labels: authority, service, team
-- value: cases
-- needs: teams, cases, allocations, contracts
-- source: DOMAIN, also
-- publish: count
-- owner: performance team
-- max_series: 10000
select l.authority, l.service, l.team_id as team, count(a.case_id) as cases
from team_labels l
left join (
  select authority, service, team_id, case_id
  from allocation_state
  where state = 'allocated'
    and holder_leaves_on < add_working_days(as_of_date(), cast(parameter('holder_leaving_workdays') as bigint) + 1)
) a on a.authority = l.authority and a.service = l.service and a.team_id = l.team_id
group by l.authority, l.service, l.team_id
