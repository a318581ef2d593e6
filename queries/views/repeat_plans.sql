-- name: repeat_plans
-- row: a child protection plan that started in the 12 months to as_of(), and whether the child had one before
-- why: A second plan says that the first ended too soon or changed too little. Ever before, merges followed; plans from
--   before the system's go-live count by the number that the source gives.
with plan as (
  select p.plan_id, p.case_id, p.started_on, p.ended_on, p.previous_cp_plans, k.authority,
    coalesce(m.person_id, k.child_id) as person_id
  from (select * from plans where kind = 'child_protection' and started_on <= as_of_date()) p
  join cases k on k.case_id = p.case_id
  left join merged_children m on m.child_id = k.child_id
)
select p.authority, p.plan_id, p.case_id, p.person_id, p.started_on,
  p.started_on > as_of_date() - 28 as is_recent,
  coalesce(max(p.previous_cp_plans), 0) > 0 or count(e.plan_id) > 0 as is_repeat
from (select * from plan where started_on > as_of_date() - interval '1 year') p
left join plan e on e.person_id = p.person_id and e.started_on < p.started_on
group by p.authority, p.plan_id, p.case_id, p.person_id, p.started_on
