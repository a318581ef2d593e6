-- name: waiting_since
-- row: an open case without an effective worker, and since when it waits
-- why: waiting_since is for a case without a holder: the later of the clock's start and the end of the last primary that
--   was effective for at least one working day, so that a tray or a name that comes and goes never restarts a wait.
--   ineffective_since is for every case without an effective worker: the later of the clock's start and the day on
--   which the last such primary ceased to be effective. Working days and calendar days side by side: published figures
--   are in calendar days.
with effective as (
  select case_id, max(ended_at) as ended_at, max(effective_until) as effective_until
  from effective_primaries
  group by case_id
),
since as (
  select c.case_id,
    case when h.case_id is null then greatest(c.clock_started_at, coalesce(e.ended_at, c.clock_started_at)) end
      as waiting_since,
    greatest(c.clock_started_at, coalesce(london_midnight(e.effective_until), c.clock_started_at)) as ineffective_since
  from open_cases c
  left join holder_state h on h.case_id = c.case_id
  left join effective e on e.case_id = c.case_id
  where h.case_id is null or h.state <> 'allocated'
)
select case_id, waiting_since,
  working_days_between(waiting_since, as_of()) as waited_workdays,
  as_of_date() - london_date(waiting_since) as waited_calendardays,
  ineffective_since,
  working_days_between(ineffective_since, as_of()) as ineffective_workdays
from since
