-- name: case_assessments
-- row: an assessment of a child's case that is open or was closed in the 12 months before as_of()
-- why: History is gone through once for all who ask about them. Begun, authorised or cancelled by then or not.
select a.assessment_id, a.case_id, a.kind, a.team_id, a.strategy_discussion_at, a.started_at, a.authorised_at,
  a.cancelled_at, a.outcome
from child_cases c
join assessments a on a.case_id = c.case_id
