-- name: supervisions_owed
-- row: a session of supervision that is owed: for the case of a child on a protection plan, or to a newly qualified
--   worker, with the day by which it is due
-- why: Cases of protection at most 2 months apart. The newly qualified weekly for 6 weeks, fortnightly to 6 months, then
--   monthly, by the day that is counted from, and not while they are long-term absent. The first is counted from the
--   start of the plan or of the newly qualified year; on the due day it is in time.
with held as (
  select case_id, worker_id, kind, held_at from supervisions where held_at <= as_of()
),
protected as (
  select case_id, authority, service, team_id, min(started_on) as started_on
  from plans_in_force
  where kind = 'child_protection'
  group by case_id, authority, service, team_id
),
for_case as (
  select p.case_id, p.authority, p.service, p.team_id,
    greatest(p.started_on, coalesce(london_date(h.held_at), p.started_on)) as counted_from
  from protected p
  left join (
    select s.case_id, max(s.held_at) as held_at
    from protected p
    join (select case_id, held_at from held where kind = 'case') s on s.case_id = p.case_id
    group by s.case_id
  ) h on h.case_id = p.case_id
),
for_worker as (
  select w.worker_id, w.authority, w.team_id, n.first_day,
    greatest(n.first_day, coalesce(london_date(h.held_at), n.first_day)) as counted_from
  from (select * from workers_in_post where newly_qualified and not long_term_absent) w
  join newly_qualified_years n on n.worker_id = w.worker_id
  left join (select worker_id, max(held_at) as held_at from held where kind = 'personal' group by worker_id) h
    on h.worker_id = w.worker_id
),
due as (
  select 'child_protection' as kind, case_id, cast(null as varchar) as worker_id, authority, service, team_id,
    counted_from,
    cast(counted_from
      + cast(concat(cast(cast(parameter('supervision_months') as bigint) as varchar), ' months') as interval)
      as date) as due_on
  from for_case
  union all
  select 'newly_qualified' as kind, cast(null as varchar) as case_id, w.worker_id, w.authority,
    coalesce(t.service, 'unknown') as service, w.team_id, w.counted_from,
    cast(case
      when w.counted_from < w.first_day + interval '6 weeks' then w.counted_from + interval '1 week'
      when w.counted_from < w.first_day + interval '6 months' then w.counted_from + interval '2 weeks'
      else w.counted_from + interval '1 month'
    end as date) as due_on
  from for_worker w
  left join teams_current t on t.team_id = w.team_id
)
select kind, case_id, worker_id, authority, service, team_id, counted_from, due_on,
  due_on < as_of_date() as late,
  working_days_between(due_on, as_of_date()) as late_workdays,
  due_on >= as_of_date()
    and due_on < add_working_days(as_of_date(), cast(parameter('visit_due_workdays') as bigint) + 1) as falls_due
from due
