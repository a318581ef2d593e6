-- name: status_change_days
-- row: a child's case and a day of the last 28 on which something happened that may change its status: a plan began or
--   ended, an assessment began, ended or was cancelled, or its referral was decided
-- why: A status is compared with the day before only on such days. The case was open at the end of both.
with event as (
  select case_id, started_on as day from plans
  where started_on > as_of_date() - 28 and started_on <= as_of_date()
  union all
  select case_id, ended_on as day from plans
  where ended_on > as_of_date() - 28 and ended_on <= as_of_date()
  union all
  select case_id, london_date(started_at) as day from assessments
  where started_at >= london_midnight(as_of_date() - 27) and started_at <= as_of()
  union all
  select case_id, london_date(authorised_at) as day from assessments
  where authorised_at >= london_midnight(as_of_date() - 27) and authorised_at <= as_of()
  union all
  select case_id, london_date(cancelled_at) as day from assessments
  where cancelled_at >= london_midnight(as_of_date() - 27) and cancelled_at <= as_of()
  union all
  select case_id, london_date(clock_started_at) as day from child_cases
  where decision is not null and clock_started_at >= london_midnight(as_of_date() - 27)
)
select c.case_id, e.day
from event e
join child_cases c on c.case_id = e.case_id
where c.opened_at < london_midnight(e.day) and (c.closed_at is null or c.closed_at >= london_midnight(e.day + 1))
group by c.case_id, e.day
