-- name: closed_case_allocated
-- row: an allocation still active on a closed case
-- why: It inflates what the worker seems to carry, in the source's own counts.
select a.authority, a.allocation_id, a.case_id, a.team_id
from (
  select authority, allocation_id, case_id, team_id
  from allocations
  where (ended_at is null or ended_at > as_of()) and started_at <= as_of()
) a
join (select case_id from cases where closed_at <= as_of()) c on c.case_id = a.case_id
