-- name: time_to_allocation
-- row: a child's case whose clock started in the 12 months to as_of(), and the working days to its first effective
--   primary
-- why: allocated is false where that has not happened: the wait is then counted up to the closure or as_of(), and the
--   case leaves the estimate there. Counting only the cases that were allocated would make a backlog look fast.
select c.case_id, c.authority, c.clock_started_at,
  c.clock_started_at >= london_midnight(as_of_date() - 27) as is_recent,
  e.case_id is not null as allocated,
  working_days_between(c.clock_started_at,
    coalesce(e.first_day, london_date(c.closed_at), as_of_date())) as waited_workdays
from cases_started_in_year c
left join first_effective_primaries e on e.case_id = c.case_id
