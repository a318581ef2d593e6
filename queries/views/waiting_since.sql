-- name: waiting_since
-- row: an open case without a holder, and since when it waits for one
-- why: The later of the clock's start and the end of the last primary that was effective for at least one working day,
--   so that a tray or a name that comes and goes never restarts a wait. Working days and calendar days side by side:
--   published figures are in calendar days.
with effective as (
  select case_id, max(ended_at) as ended_at from effective_primaries group by case_id
),
since as (
  select c.case_id, greatest(c.clock_started_at, coalesce(e.ended_at, c.clock_started_at)) as waiting_since
  from open_cases c
  left join primary_holder h on h.case_id = c.case_id
  left join effective e on e.case_id = c.case_id
  where h.case_id is null
)
select case_id, waiting_since,
  working_days_between(waiting_since, as_of()) as waited_workdays,
  as_of_date() - london_date(waiting_since) as waited_calendardays
from since
