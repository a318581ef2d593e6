-- name: repeat_plans
-- row: a child protection plan that started in the 12 months to as_of(), and whether the child had one before
-- why: A second plan says that the first ended too soon or changed too little. Ever before, merges followed; plans from
--   before the system's go-live count by the number that the source gives.
with record as (
  -- The children's own records and those merged into them, so that only their cases and plans of before are read.
  select p.person_id, p.person_id as child_id
  from (select distinct person_id from protection_plans_in_year) p
  left join merged_children m on m.child_id = p.person_id
  where m.child_id is null
  union all
  select m.person_id, m.child_id
  from (select distinct person_id from protection_plans_in_year) p
  join merged_children m on m.person_id = p.person_id
),
earlier as (
  select r.person_id, e.plan_id, e.started_on
  from record r
  join cases k on k.child_id = r.child_id
  join (
    select plan_id, case_id, started_on from plans where started_on <= as_of_date() and kind = 'child_protection'
  ) e on e.case_id = k.case_id
)
select p.authority, p.plan_id, p.case_id, p.person_id, p.started_on,
  p.started_on > as_of_date() - 28 as is_recent,
  coalesce(max(p.previous_cp_plans), 0) > 0 or count(e.plan_id) > 0 as is_repeat
from protection_plans_in_year p
left join earlier e on e.person_id = p.person_id and e.started_on < p.started_on
group by p.authority, p.plan_id, p.case_id, p.person_id, p.started_on
