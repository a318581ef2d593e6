-- name: primary_holder
-- row: the chosen holder of an open case that has one: its active primary allocation that started last (tie: by id)
-- why: Handovers overlap and old allocations stay open; one holder answers for a case.
with newest as (
  select case_id, max(started_at) as started_at, count(*) as active_primaries
  from active_primaries
  group by case_id
),
chosen as (
  select a.case_id, max(a.allocation_id) as allocation_id, max(n.active_primaries) as active_primaries
  from newest n
  join active_primaries a on a.case_id = n.case_id and a.started_at = n.started_at
  group by a.case_id
)
select a.case_id, a.allocation_id, a.holder_kind, a.worker_id, a.team_id, a.started_at, c.active_primaries
from chosen c
join active_primaries a on a.case_id = c.case_id and a.allocation_id = c.allocation_id
