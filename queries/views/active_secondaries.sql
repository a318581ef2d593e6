-- name: active_secondaries
-- row: an active secondary allocation of an open case to a worker
-- why: Work that no caseload shows: a second worker of a case is in no count of cases held.
select c.case_id, c.person_id, c.authority, c.service, c.team_id, a.allocation_id, a.worker_id
from open_cases c
join (
  select case_id, allocation_id, worker_id
  from allocations
  where role = 'secondary' and worker_id is not null
    and started_at <= as_of() and (ended_at is null or ended_at > as_of())
) a on a.case_id = c.case_id
