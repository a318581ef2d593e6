-- name: protection_plans_in_year
-- row: a child protection plan that started in the 12 months to as_of(), with the child, merges followed
-- why: Whose earlier plans are looked for, and what the share of repeat plans is over.
select p.plan_id, p.case_id, p.started_on, p.previous_cp_plans, k.authority,
  coalesce(m.person_id, k.child_id) as person_id
from (
  select plan_id, case_id, started_on, previous_cp_plans
  from plans
  where started_on > as_of_date() - interval '1 year' and started_on <= as_of_date() and kind = 'child_protection'
) p
join cases k on k.case_id = p.case_id
left join merged_children m on m.child_id = k.child_id
