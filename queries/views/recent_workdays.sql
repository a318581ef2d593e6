-- name: recent_workdays
-- row: one of the 20 working days before as_of_date(), with how many working days ago it was and the moment it ended
-- why: "Five days running" and "the low of the last twenty" mean the ends of working days: nothing is lost or gained at
--   a weekend. What stood then is seen as it is known now.
select column1 as workdays_ago,
  add_working_days(as_of_date(), -column1) as day,
  london_midnight(add_working_days(as_of_date(), -column1) + 1) as ended_at
from (values (1), (2), (3), (4), (5), (6), (7), (8), (9), (10),
  (11), (12), (13), (14), (15), (16), (17), (18), (19), (20))
