-- name: casewatch_no_holder_wait_mean_calendardays
-- kind: gauge
-- help: Mean current wait of the open cases without a holder, in calendar days; service and team are "all" on the
--   rows for an authority or a service.
-- unit: calendardays
-- labels: authority, service, team
-- value: waited
-- needs: teams, cases, allocations
-- source: DOMAIN, allocation states
-- publish: over cases
-- owner: performance team
-- max_series: 20000
select authority, service, team_id as team, mean_calendardays as waited, cases
from no_holder_waits
