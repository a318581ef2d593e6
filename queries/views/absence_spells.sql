-- name: absence_spells
-- row: a worker's unbroken absence: absences with no working day at work between them
-- why: Two sick notes in a row are one absence. Long-term begins on the first day for maternity and for an absence
--   that is expected to last (or is known to have lasted) over 20 working days, otherwise with the 21st working day,
--   the first day included. last_day is empty while the absence goes on.
with absence as (
  select worker_id, absence_id, started_on, ended_on, coalesce(ended_on, expected_end_on) as expected_last_day,
    coalesce(ended_on, date '2999-12-31') as reached, reason
  from absences
  where started_on <= as_of_date()
),
after_previous as (
  select *,
    max(reached) over (
      partition by worker_id order by started_on, absence_id rows between unbounded preceding and 1 preceding
    ) as previously_reached
  from absence
),
numbered as (
  select *,
    sum(case
      when previously_reached is null then 1
      when working_days_between(least(previously_reached, started_on), started_on) > 1 then 1
      else 0
    end) over (
      partition by worker_id order by started_on, absence_id rows between unbounded preceding and current row
    ) as spell
  from after_previous
),
spells as (
  select worker_id, min(started_on) as started_on, max(reached) as reached, max(expected_last_day) as expected_last_day,
    min(case when reason = 'MAT' then started_on end) as maternity_from
  from numbered
  group by worker_id, spell
)
select worker_id, started_on,
  case when reached < date '2999-12-31' then reached end as last_day,
  least(
    maternity_from,
    case
      when working_days_between(started_on - 1, expected_last_day) > parameter('long_term_absence_workdays')
        then started_on
      else add_working_days(started_on - 1, cast(parameter('long_term_absence_workdays') as bigint) + 1)
    end
  ) as long_term_from
from spells
