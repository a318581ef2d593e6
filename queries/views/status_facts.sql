-- name: status_facts
-- row: an open case with what its status follows from at as_of() (moment 'now'), or a case at the end of a day on which
--   that may have changed, and of the day before (moment 'day_end')
-- why: The plans in force, whether an assessment is under way, whether one was ever started, and the decision, in one
--   form for both, so that case_status_found says only once which status follows.
with days as (
  select case_id, day from status_change_days
  union
  select case_id, day - 1 as day from status_change_days
),
plan as (
  select case_id,
    bool_or(kind = 'looked_after') as looked_after,
    bool_or(kind = 'child_protection') as child_protection,
    bool_or(kind = 'child_in_need') as child_in_need,
    bool_or(kind = 'pathway') as pathway
  from plans_in_force
  group by case_id
),
assessment as (
  select c.case_id, bool_or(a.under_way) as under_way
  from open_cases c
  join (
    select case_id, authorised_at is null or authorised_at > as_of() as under_way
    from case_assessments
    where kind in ('child_family', 'section_47')
      and started_at <= as_of()
      and (cancelled_at is null or cancelled_at > as_of())
  ) a on a.case_id = c.case_id
  group by c.case_id
),
plan_then as (
  select d.case_id, d.day,
    bool_or(p.kind = 'looked_after') as looked_after,
    bool_or(p.kind = 'child_protection') as child_protection,
    bool_or(p.kind = 'child_in_need') as child_in_need,
    bool_or(p.kind = 'pathway') as pathway
  from days d
  join case_plans p on p.case_id = d.case_id
  where p.started_on <= d.day and (p.ended_on is null or p.ended_on > d.day)
  group by d.case_id, d.day
),
assessment_then as (
  select d.case_id, d.day, bool_or(a.authorised_at is null or a.authorised_at >= london_midnight(d.day + 1)) as under_way
  from days d
  join (
    select case_id, started_at, authorised_at, cancelled_at
    from case_assessments
    where kind in ('child_family', 'section_47') and started_at <= as_of()
  ) a on a.case_id = d.case_id
  where a.started_at < london_midnight(d.day + 1)
    and (a.cancelled_at is null or a.cancelled_at >= london_midnight(d.day + 1))
  group by d.case_id, d.day
)
select 'now' as moment, c.case_id, cast(null as date) as day, c.non_sw_lead_agreed, p.looked_after, p.child_protection, p.child_in_need,
  p.pathway, a.under_way, a.case_id is not null as assessed, c.decision
from open_cases c
left join plan p on p.case_id = c.case_id
left join assessment a on a.case_id = c.case_id
union all
select 'day_end' as moment, d.case_id, d.day, c.non_sw_lead_agreed, p.looked_after, p.child_protection, p.child_in_need, p.pathway,
  a.under_way, a.case_id is not null as assessed,
  case when c.clock_started_at < london_midnight(d.day + 1) then c.decision end as decision
from days d
join child_cases c on c.case_id = d.case_id
left join plan_then p on p.case_id = d.case_id and p.day = d.day
left join assessment_then a on a.case_id = d.case_id and a.day = d.day
