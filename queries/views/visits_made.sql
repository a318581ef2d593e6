-- name: visits_made
-- row: a visit made by as_of(), with whether the child was seen, for a case that is open or was closed in the 12 months
--   before
-- why: What was planned is not done. A visit at which the child was not seen was made, and ends no interval; where
--   nobody recorded it, the child counts as seen. What else a visit says is in recent_visits: all of history is
--   gone through here, for few columns.
select v.visit_id, v.case_id, v.kind, v.visited_at, coalesce(v.seen, true) as seen
from child_cases c
join (select visit_id, case_id, kind, visited_at, seen from visits where visited_at <= as_of()) v on v.case_id = c.case_id
