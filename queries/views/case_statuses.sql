-- name: case_statuses
-- row: a status that an open case can have
-- why: The order in which statuses win, what each asks of the holder, and the labels that exist, as data:
--   a case has the status of the highest rank that applies to it.
select
  column1 as status,
  column2 as rank,
  column3 as needs_social_worker,
  column4 as needs_social_worker_unless_agreed,
  column5 as protected
from (values
  ('looked_after', 7, true, false, true),
  ('child_protection', 6, true, false, true),
  ('child_in_need', 5, false, true, false),
  ('assessment', 4, true, false, false),
  ('awaiting_assessment', 3, false, false, false),
  ('care_leaver', 2, false, false, false),
  ('open_no_plan', 1, false, false, false))
