-- Open cases whose holder is not one who can work on it: everything but `allocated`.
with plan as (
  select case_id, list(kind) as kinds from plans
  where started_on <= today() and (ended_on is null or ended_on > today())
  group by case_id
),
assessment as (
  select case_id from assessments
  where kind in ('child_family', 'section_47') and started_at <= as_of()
    and (authorised_at is null or authorised_at > as_of()) and (cancelled_at is null or cancelled_at > as_of())
  group by case_id
),
needs as (
  select o.case_id,
    list_has_any(coalesce(p.kinds, []), ['looked_after', 'child_protection'])
      or (list_contains(coalesce(p.kinds, []), 'child_in_need') and not coalesce(c.non_sw_lead_agreed, false))
      or (not list_contains(coalesce(p.kinds, []), 'child_in_need') and a.case_id is not null) as social_worker
  from open_case o
  join cases c using (case_id)
  left join plan p using (case_id)
  left join assessment a using (case_id)
),
-- Absences with no working day at work between them are one. Long-term is over 20 working days, so far or as expected,
-- and maternity from its first day.
note as (
  select *, max(coalesce(ended_on, date '2035-12-31')) over (
    partition by worker_id order by started_on, absence_id rows between unbounded preceding and 1 preceding
  ) as reached
  from absences where started_on <= today()
),
numbered as (
  select *, sum(case when reached is null or working_days(least(reached, started_on), started_on) > 1 then 1 else 0 end)
    over (partition by worker_id order by started_on, absence_id) as spell
  from note
),
absent as (
  select worker_id from numbered
  group by worker_id, spell
  having max(coalesce(ended_on, date '2035-12-31')) >= today() and (
    bool_or(reason = 'MAT')
    or working_days(min(started_on) - 1, today()) > 20
    or working_days(min(started_on) - 1, max(coalesce(ended_on, expected_end_on))) > 20
  )
),
worker as (
  select k.worker_id, bool_or(k.case_holding) as case_holding, bool_or(w.swe_registered) as registered
  from contract_in_force k join workers w using (worker_id)
  where k.measured = 'now' and k.worker_id not in (select worker_id from absent)
  group by k.worker_id
),
effective as (
  select h.case_id
  from holder h
  join worker w using (worker_id)
  join needs n using (case_id)
  where h.holder_kind = 'worker' and w.case_holding and (w.registered or not n.social_worker)
)
select authority, service, team, count(*) as value
from open_case
where case_id not in (select case_id from effective)
group by all
