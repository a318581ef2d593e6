-- name: cases_started_in_year
-- row: a child's case, open or closed, whose clock started in the 12 months to as_of()
-- why: The cases that the time to allocation is estimated over.
select case_id, authority, closed_at, clock_started_at
from child_cases
where clock_started_at >= london_midnight(as_of_date() - interval '1 year' + interval '1 day')
