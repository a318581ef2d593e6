-- name: visits_owed
-- row: an open case of a child who is owed a visit of a kind, with the day by which it is due
-- why: Who is late and since when, and who is next. late_workdays are the working days since the due day; falls_due says
--   that it is due today or within the coming visit_due_workdays working days.
select case_id, authority, service, team_id, kind, is_first, counted_from, due_on, late, late_workdays,
  not late and due_on < add_working_days(as_of_date(), cast(parameter('visit_due_workdays') as bigint) + 1) as falls_due
from visit_times
where visit_id is null
