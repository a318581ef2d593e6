-- name: two_primaries
-- row: an open case with more than one active primary allocation
-- why: One worker answers for a case. The one that started last counts; the others should have been ended.
select authority, case_id, team_id, active_primaries
from allocation_state
where active_primaries > 1
