-- name: leavers_in_year
-- row: a spell of employment that ended in the year to a date that the workforce is measured at
-- why: At 30 September the year is DfE's, 1 October to 30 September; on any other day it rolls. FTE is that of the
--   contracts the spell ended with; a missing one counts as a leaver without FTE. Served is the spell's length, its last
--   day included, in days and in whole years.
select d.measured, s.authority, s.worker_id, s.started_on, s.last_day, s.last_fte as fte, s.last_team_id as team_id,
  s.end_reason, s.last_day - s.started_on + 1 as served_calendardays,
  cast(date_part('year', s.last_day + 1) - date_part('year', s.started_on)
    - case when date_part('month', s.last_day + 1) * 100 + date_part('day', s.last_day + 1)
        < date_part('month', s.started_on) * 100 + date_part('day', s.started_on) then 1 else 0 end as bigint)
    as served_years
from workforce_dates d
cross join employment_spells s
where s.last_day > d.measured_on - interval '1 year' and s.last_day <= d.measured_on
