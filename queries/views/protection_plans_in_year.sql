-- name: protection_plans_in_year
-- row: a child protection plan of a child's case (child_cases) that started in the 12 months to as_of(), with the child,
--   merges followed
-- why: Whose earlier plans are looked for, and what the share of repeat plans is over. The authority is that of the case's
--   team at as_of().
select p.plan_id, p.case_id, p.started_on, p.previous_cp_plans, c.authority, c.person_id
from child_cases c
join (
  select plan_id, case_id, started_on, previous_cp_plans
  from plans
  where started_on > as_of_date() - interval '1 year' and started_on <= as_of_date() and kind = 'child_protection'
) p on p.case_id = c.case_id
