-- name: allocation_unknown_worker
-- row: an active allocation of an open case to a worker that the case system's list of workers does not hold
-- why: Nobody can be asked about the case; as a primary it counts as leaver-held.
select c.authority, a.allocation_id, a.case_id, a.role, c.team_id
from open_cases c
join allocations a on a.case_id = c.case_id
left join workers w on w.worker_id = a.worker_id
where a.worker_id is not null and w.worker_id is null
  and a.started_at <= as_of() and (a.ended_at is null or a.ended_at > as_of())
