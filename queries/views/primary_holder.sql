-- name: primary_holder
-- row: the chosen holder of an open case that has one: its active primary allocation that started last (tie: by id)
-- why: Handovers overlap and old allocations stay open; one holder answers for a case. A row of kind worker that
--   names no worker is no holder (quality.allocation_without_worker). The moment of an end belongs to the new holder.
select case_id, allocation_id, holder_kind, worker_id, team_id, started_at, active_primaries
from (
  select a.case_id, a.allocation_id, a.holder_kind, a.worker_id, a.team_id, a.started_at,
    row_number() over (partition by a.case_id order by a.started_at desc, a.allocation_id desc) as newest,
    count(*) over (partition by a.case_id) as active_primaries
  from open_cases c
  join allocations a on a.case_id = c.case_id
  where a.role = 'primary'
    and a.started_at <= as_of()
    and (a.ended_at is null or a.ended_at > as_of())
    and not (a.holder_kind = 'worker' and a.worker_id is null)
)
where newest = 1
