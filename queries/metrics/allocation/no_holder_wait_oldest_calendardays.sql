-- name: casewatch_no_holder_wait_oldest_calendardays
-- kind: gauge
-- help: Longest current wait of an open case without a holder, in calendar days; 0 where none waits.
-- unit: calendardays
-- labels: authority, service, team
-- value: waited
-- needs: teams, cases, allocations
-- source: DOMAIN, allocation states
-- publish: over cases
-- owner: performance team
-- max_series: 10000
select l.authority, l.service, l.team_id as team, coalesce(w.oldest_calendardays, 0) as waited,
  coalesce(w.cases, 0) as cases
from team_labels l
left join no_holder_waits w on w.authority = l.authority and w.service = l.service and w.team_id = l.team_id
