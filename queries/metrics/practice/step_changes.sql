-- name: casewatch_step_changes
-- kind: gauge
-- help: Days in the last 28 on which an open case's status rose (up) or fell (down), by the status it came to; closed to
--   early help is a step down.
-- unit: changes
-- labels: authority, service, team, direction, status
-- value: changes
-- needs: teams, cases, plans
-- source: DOMAIN, step-up, step-down
-- publish: count
-- owner: practice lead
-- max_series: 100000
select authority, service, team_id as team, direction, to_status as status, count(*) as changes
from step_changes
group by authority, service, team_id, direction, to_status
