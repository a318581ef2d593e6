-- name: casewatch_cases_open_by_status
-- kind: gauge
-- help: Open cases by status.
-- unit: cases
-- labels: authority, service, team, status
-- value: cases
-- needs: teams, cases, allocations, plans
-- source: DOMAIN, allocation states
-- publish: count
-- owner: performance team
-- max_series: 50000
select c.authority, c.service, c.team_id as team, c.status, c.cases
from team_status_counts c
join (select authority from statuses_told where status = 'child_protection') k on k.authority = c.authority
