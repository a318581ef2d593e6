-- name: closures_in_year
-- row: a child's case closed in the 12 months to as_of(), with the day on which the child was next referred
-- why: A case that comes back within 90 days was closed too soon. A referral on the day of the closure is not one after
--   it; contacts never count. too_soon_known says that the 90 days are over, so that rates wait for the answer;
--   is_recent that the child came back in the last 28 days.
select c.case_id, c.authority, c.service, c.team_id, c.closed_on, c.referred_again_on,
  coalesce(c.referred_again_on <= c.closed_on + cast(parameter('closed_too_soon_calendardays') as int), false) as too_soon,
  c.closed_on + cast(parameter('closed_too_soon_calendardays') as int) < as_of_date() as too_soon_known,
  coalesce(c.referred_again_on > as_of_date() - 28, false) as is_recent
from (
  select k.case_id, k.authority, k.service, k.team_id, k.closed_on, min(r.received_on) as referred_again_on
  from (
    select case_id, authority, service, team_id, person_id, london_date(closed_at) as closed_on
    from child_cases
    where closed_at is not null
  ) k
  left join referral_days r on r.person_id = k.person_id and r.received_on > k.closed_on
  group by k.case_id, k.authority, k.service, k.team_id, k.closed_on
) c
