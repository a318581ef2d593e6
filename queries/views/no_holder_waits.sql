-- name: no_holder_waits
-- row: a team, a service or an authority with cases that wait without a holder, and how long they have waited
-- why: Means and percentiles of teams do not add up to those of the authority, so each level has its own row: service
--   and team are 'all' where the row stands for more than one. Percentiles are exact.
select authority,
  coalesce(service, 'all') as service,
  coalesce(team_id, 'all') as team_id,
  count(*) as cases,
  max(waited_workdays) as oldest_workdays,
  max(waited_calendardays) as oldest_calendardays,
  avg(cast(waited_workdays as double)) as mean_workdays,
  avg(cast(waited_calendardays as double)) as mean_calendardays,
  percentile_cont(0.5) within group (order by cast(waited_workdays as double)) as p50_workdays,
  percentile_cont(0.9) within group (order by cast(waited_workdays as double)) as p90_workdays,
  percentile_cont(0.5) within group (order by cast(waited_calendardays as double)) as p50_calendardays,
  percentile_cont(0.9) within group (order by cast(waited_calendardays as double)) as p90_calendardays
from allocation_state
where no_holder
group by grouping sets ((authority), (authority, service), (authority, service, team_id))
