-- name: casewatch_cases_open_by_status
-- kind: gauge
-- help: Open cases by status. Of several authorities, one that supplies no plans has its cases under what is left
--   without them: assessment, awaiting_assessment or open_no_plan.
-- unit: cases
-- labels: authority, service, team, status
-- value: cases
-- needs: teams, cases, allocations, plans
-- source: DOMAIN, allocation states
-- publish: count
-- owner: performance team
-- max_series: 50000
select authority, service, team_id as team, status, cases
from team_status_counts
