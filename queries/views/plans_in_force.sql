-- name: plans_in_force
-- row: a plan of an open case in force at as_of()
-- why: Ends of plans are dates and mean 00:00 of that day, like those of cases: a plan that ends today is over at the
--   end of today.
select p.plan_id, p.case_id, p.kind, p.started_on
from open_cases c
join plans p on p.case_id = c.case_id
where p.started_on <= as_of_date() and (p.ended_on is null or p.ended_on > as_of_date())
