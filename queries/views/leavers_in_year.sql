-- name: leavers_in_year
-- row: a spell of employment that ended in the year to as_of_date()
-- why: At 30 September the year is DfE's, 1 October to 30 September; on any other day it rolls. FTE is that of the
--   contracts the spell ended with; a missing one counts as a leaver without FTE.
select authority, worker_id, started_on, last_day, last_fte as fte, last_team_id as team_id, end_reason
from employment_spells
where last_day > as_of_date() - interval '1 year' and last_day <= as_of_date()
