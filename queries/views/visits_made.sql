-- name: visits_made
-- row: a visit made by as_of(), with whether the child was seen
-- why: What was planned is not done. A visit at which the child was not seen was made, and ends no interval; where
--   nobody recorded it, the child counts as seen.
select visit_id, case_id, plan_id, placement_id, kind, visited_at, coalesce(seen, true) as seen, seen_alone
from visits
where visited_at <= as_of()
