-- name: cases_never_effective
-- row: a child's case closed in the 12 months to as_of() that never had an effective worker
-- why: This is how a backlog gets "cleared": by closing what nobody ever worked on. A tray, a manager or a worker who
--   had left does not make it otherwise.
select c.case_id, c.authority, c.service, c.team_id, c.opened_at, c.closed_at,
  c.closed_at >= london_midnight(as_of_date() - 27) as is_recent
from (select * from child_cases where closed_at is not null) c
left join first_effective_primaries e on e.case_id = c.case_id
where e.case_id is null
