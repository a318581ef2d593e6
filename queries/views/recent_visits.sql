-- name: recent_visits
-- row: a visit made in the last 28 days to a child whose case is open or was closed in the year, with the one before it
--   of the same kind
-- why: How practice has been lately: whether a visit was in time is told by the interval since the one before at which
--   the child was seen.
select v.visit_id, c.case_id, c.authority, c.service, c.team_id, c.referred_at, v.plan_id, v.placement_id, v.kind,
  v.seen, v.seen_alone, v.visited_at, max(e.visited_at) as visited_before
from (
  select visit_id, case_id, plan_id, placement_id, kind, coalesce(seen, true) as seen, seen_alone, visited_at
  from visits
  where visited_at <= as_of() and visited_at >= london_midnight(as_of_date() - 27)
) v
join child_cases c on c.case_id = v.case_id
left join (select case_id, kind, visited_at from visits_made where seen) e
  on e.case_id = v.case_id and e.kind = v.kind and e.visited_at < v.visited_at
group by v.visit_id, c.case_id, c.authority, c.service, c.team_id, c.referred_at, v.plan_id, v.placement_id, v.kind,
  v.seen, v.seen_alone, v.visited_at
