-- name: case_status
-- row: an open case with its status
-- why: The first that applies of looked_after, child_protection, child_in_need, assessment (one is under way),
--   awaiting_assessment (decided for assessment or section 47 and none started), care_leaver, open_no_plan; and what
--   that status asks of the holder.
with plan as (
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
    from assessments
    where kind in ('child_family', 'section_47')
      and started_at <= as_of()
      and (cancelled_at is null or cancelled_at > as_of())
  ) a on a.case_id = c.case_id
  group by c.case_id
),
found as (
  select c.case_id, c.non_sw_lead_agreed,
    case
      when p.looked_after then 'looked_after'
      when p.child_protection then 'child_protection'
      when p.child_in_need then 'child_in_need'
      when a.under_way then 'assessment'
      when a.case_id is null and c.decision in ('assessment', 'section_47') then 'awaiting_assessment'
      when p.pathway then 'care_leaver'
      else 'open_no_plan'
    end as status
  from open_cases c
  left join plan p on p.case_id = c.case_id
  left join assessment a on a.case_id = c.case_id
)
select f.case_id, f.status, s.rank, s.protected,
  s.needs_social_worker or (s.needs_social_worker_unless_agreed and not f.non_sw_lead_agreed) as needs_social_worker
from found f
join case_statuses s on s.status = f.status
