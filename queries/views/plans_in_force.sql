-- name: plans_in_force
-- row: a plan of an open case in force at as_of()
-- why: Ends of plans are dates and mean 00:00 of that day, like those of cases: a plan that ends today is over at the
--   end of today.
select p.plan_id, p.case_id, c.authority, c.service, c.team_id, p.kind, p.started_on, p.visit_every, p.visit_unit
from open_cases c
join (
  select plan_id, case_id, kind, started_on, visit_every, visit_unit
  from plans
  where started_on <= as_of_date() and (ended_on is null or ended_on > as_of_date())
) p on p.case_id = c.case_id
