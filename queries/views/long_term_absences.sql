-- name: long_term_absences
-- row: a worker's unbroken absence that is, was or (unless it ends before) will be long-term, and from which day
-- why: Two sick notes in a row are one absence: those with no working day at work between them chain. It is long-term
--   from its first day for maternity and when it is expected to last (or is known to have lasted) over 20 working
--   days, otherwise from the 21st working day, the first day included. last_day is empty while it goes on.
with absence as (
  select worker_id, absence_id, started_on, coalesce(ended_on, expected_end_on) as expected_last_day, reason,
    coalesce(ended_on, date '2099-12-31') as reached,
    add_working_days(coalesce(ended_on, date '2099-12-31'), 2) as apart_from
  from absences
  where started_on <= as_of_date()
),
first_of_spell as (
  select a.worker_id, a.started_on
  from absence a
  left join absence p
    on p.worker_id = a.worker_id and p.apart_from > a.started_on
    and (p.started_on < a.started_on or (p.started_on = a.started_on and p.absence_id < a.absence_id))
  where p.worker_id is null
),
in_spell as (
  select a.worker_id, a.absence_id, a.started_on, a.reached, a.expected_last_day, a.reason,
    max(f.started_on) as spell_started_on
  from absence a
  join first_of_spell f on f.worker_id = a.worker_id and f.started_on <= a.started_on
  group by a.worker_id, a.absence_id, a.started_on, a.reached, a.expected_last_day, a.reason
),
spells as (
  select worker_id, spell_started_on as started_on, max(reached) as reached,
    max(expected_last_day) as expected_last_day,
    min(case when reason = 'MAT' then started_on end) as maternity_from
  from in_spell
  group by worker_id, spell_started_on
),
judged as (
  select worker_id, started_on, reached,
    least(
      maternity_from,
      case
        when working_days_between(started_on - 1, expected_last_day) > parameter('long_term_absence_workdays')
          then started_on
        else add_working_days(started_on - 1, cast(parameter('long_term_absence_workdays') as bigint) + 1)
      end
    ) as long_term_from
  from spells
)
select worker_id, started_on, case when reached < date '2099-12-31' then reached end as last_day, long_term_from
from judged
where long_term_from <= reached
