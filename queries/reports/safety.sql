-- name: safety
-- row: the headline numbers of one moment
-- why: what `casewatch demo` shows at its milestones; set casewatch.as_of and run it for any other day
select count(*) as open_cases,
  count(*) filter (where no_holder) as no_holder,
  count(*) filter (where state = 'in_transition') as in_transition,
  count(*) filter (where state = 'unallocated') as unallocated,
  count(*) filter (where not effective) as no_effective_worker,
  count(*) filter (where no_holder and service = 'front_door' and status in ('assessment', 'awaiting_assessment'))
    as front_door_awaiting,
  coalesce(max(waited_calendardays) filter (where no_holder), 0) as oldest_wait_days
from allocation_state
