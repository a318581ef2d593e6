-- name: allocation_states
-- row: one of the six allocation states
-- why: Which states make up each headline, as data, and the labels that have to be exported even at zero:
--   "no holder" is in_transition and unallocated, "no effective worker" is everything but allocated.
select column1 as state, column2 as no_holder, column3 as effective
from (values
  ('leaver_held', false, false),
  ('nominal', false, false),
  ('not_social_worker', false, false),
  ('allocated', false, true),
  ('in_transition', true, false),
  ('unallocated', true, false))
