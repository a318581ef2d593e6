-- name: casewatch_cases_no_holder
-- kind: gauge
-- help: Open cases without a holder, in transition and unallocated together: what the press and inspectors count.
-- unit: cases
-- labels: authority, service, team, status
-- value: cases
-- needs: teams, cases, allocations
-- source: DOMAIN, allocation states
-- publish: count
-- owner: performance team
-- max_series: 50000
select authority, service, team_id as team, status, no_holder as cases
from team_status_counts
