-- name: primary_allocations
-- row: a primary allocation, ended or not, that had begun by as_of() and could hold its case, which is open or was
--   closed in the 12 months before
-- why: What a holding is, once. A row of kind worker that names no worker holds nothing
--   (quality.allocation_without_worker). ended_at is empty while it goes on.
select a.case_id, a.allocation_id, a.holder_kind, a.worker_id, a.team_id, a.started_at, a.ended_at
from child_cases c
join (
  select case_id, allocation_id, holder_kind, worker_id, team_id, started_at, ended_at
  from allocations
  where role = 'primary' and started_at <= as_of()
    and not (holder_kind = 'worker' and worker_id is null)
) a on a.case_id = c.case_id
