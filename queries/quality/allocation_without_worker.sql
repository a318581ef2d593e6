-- name: allocation_without_worker
-- row: an active allocation of an open case, of kind worker, that names no worker
-- why: It looks like a holder and is none; figures ignore it.
select c.authority, a.allocation_id, a.case_id, c.team_id
from open_cases c
join allocations a on a.case_id = c.case_id
where a.holder_kind = 'worker' and a.worker_id is null
  and a.started_at <= as_of() and (a.ended_at is null or a.ended_at > as_of())
