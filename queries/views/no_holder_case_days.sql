-- name: no_holder_case_days
-- row: a case of a child that was open and without a holder at the end of one of the last 20 working days
-- why: Whether the number of such cases rises is judged against days that have passed, with what is known of them now.
--   Cases that were held by one allocation all the time are left out first, which is most of them. What
--   stands first in a join is kept in memory: the smaller side.
with held_throughout as (
  select a.case_id
  from (select min(ended_at) as ended_at from recent_workdays) f
  cross join primary_allocations a
  where a.started_at < f.ended_at and (a.ended_at is null or a.ended_at > as_of())
  group by a.case_id
),
candidate_days as (
  select c.case_id, c.authority, d.workdays_ago, d.ended_at
  from recent_workdays d
  cross join (
    select o.case_id, o.authority, o.opened_at, o.closed_at
    from held_throughout h
    right join child_cases o on o.case_id = h.case_id
    where h.case_id is null
  ) c
  where c.opened_at < d.ended_at and (c.closed_at is null or c.closed_at >= d.ended_at)
)
select c.case_id, c.authority, c.workdays_ago, c.ended_at
from primary_allocations a
right join candidate_days c
  on c.case_id = a.case_id and a.started_at < c.ended_at and (a.ended_at is null or a.ended_at >= c.ended_at)
where a.case_id is null
