-- name: primary_allocations
-- row: a primary allocation, ended or not, that had begun by as_of() and could hold its case
-- why: What a holding is, once. A row of kind worker that names no worker holds nothing
--   (quality.allocation_without_worker). ended_at is empty while it goes on.
select case_id, allocation_id, holder_kind, worker_id, team_id, started_at, ended_at
from allocations
where role = 'primary' and started_at <= as_of()
  and not (holder_kind = 'worker' and worker_id is null)
