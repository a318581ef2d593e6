-- name: case_plans
-- row: a plan of a child's case that is open or was closed in the 12 months before as_of()
-- why: History is gone through once for all who ask about them. Begun or ended by then or not.
select p.plan_id, p.case_id, p.kind, p.started_on, p.ended_on, p.visit_every, p.visit_unit
from child_cases c
join plans p on p.case_id = c.case_id
