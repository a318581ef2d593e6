-- name: visits_done
-- row: a visit of the last 28 days at which the child was seen and that ended an interval with a due date
-- why: Done in time and done late, against the same due dates as the visits that are owed.
select visit_id, case_id, authority, service, team_id, kind, is_first, due_on, visited_on, late
from visit_times
where visit_id is not null and seen
