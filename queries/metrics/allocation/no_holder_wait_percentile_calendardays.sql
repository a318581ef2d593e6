-- name: casewatch_no_holder_wait_percentile_calendardays
-- kind: gauge
-- help: Median (50) and ninetieth percentile (90) of the current waits of open cases without a holder, in calendar
--   days; service and team are "all" on the rows for an authority or a service.
-- unit: calendardays
-- labels: authority, service, team, percentile
-- value: waited
-- needs: teams, cases, allocations
-- source: DOMAIN, allocation states
-- publish: over cases
-- owner: performance team
-- max_series: 40000
select authority, service, team_id as team, '50' as percentile, p50_calendardays as waited, cases from no_holder_waits
union all
select authority, service, team_id as team, '90' as percentile, p90_calendardays as waited, cases from no_holder_waits
