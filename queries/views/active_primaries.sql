-- name: active_primaries
-- row: an active primary allocation of an open case
-- why: Every one that could hold the case. The moment of an end belongs to the new holder.
select a.case_id, a.allocation_id, a.holder_kind, a.worker_id, a.team_id, a.started_at
from open_cases c
join (
  select case_id, allocation_id, holder_kind, worker_id, team_id, started_at
  from primary_allocations
  where ended_at is null or ended_at > as_of()
) a on a.case_id = c.case_id
