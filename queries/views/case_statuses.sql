-- name: case_statuses
-- row: a status that an open case can have
-- why: The order in which statuses win, what each asks of the holder, and the labels that exist, as data:
--   a case has the status of the highest rank that applies to it. follows_from is the table without which a status is
--   never found; open_no_plan is what is left.
select
  column1 as status,
  column2 as rank,
  column3 as needs_social_worker,
  column4 as needs_social_worker_unless_agreed,
  column5 as protected,
  column6 as follows_from
from (values
  ('looked_after', 7, true, false, true, 'plans'),
  ('child_protection', 6, true, false, true, 'plans'),
  ('child_in_need', 5, false, true, false, 'plans'),
  ('assessment', 4, true, false, false, 'assessments'),
  ('awaiting_assessment', 3, false, false, false, 'referrals'),
  ('care_leaver', 2, false, false, false, 'plans'),
  ('open_no_plan', 1, false, false, false, null))
