-- name: allocation_ended_before_started
-- row: an allocation that ended before it started, in the last 12 months
-- why: A correction entered wrongly; it is active at no time and hides who held the case.
select authority, allocation_id, case_id, team_id
from allocations
where ended_at < started_at and ended_at <= as_of()
  and ended_at >= london_midnight(as_of_date() - interval '1 year' + interval '1 day')
