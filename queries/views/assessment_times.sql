-- name: assessment_times
-- row: a child-and-family assessment of a child's case (child_cases) that is open, or was completed in the 12 months to
--   as_of(), with its age or length
-- why: In time is 45 working days. The clock from the referral is the statutory one; the one from the start of the
--   assessment shows how much of the delay lies before it. A referral leads to one assessment, the first that began on
--   its day or later; a later one of the same case assesses the child again, and both clocks count from its own start.
--   A cancelled assessment is neither open nor completed, and the next one takes its place.
with begun as (
  select assessment_id, case_id, team_id, started_at,
    case when authorised_at <= as_of() then authorised_at end as authorised_at
  from case_assessments
  where kind = 'child_family' and started_at <= as_of() and (cancelled_at is null or cancelled_at > as_of())
),
led_to as (
  select b.case_id, min(b.started_at) as started_at
  from child_cases c
  join begun b on b.case_id = c.case_id
  where c.referred_at is null or london_date(b.started_at) >= london_date(c.referred_at)
  group by b.case_id
),
timed as (
  select a.assessment_id, a.case_id, c.authority, a.team_id,
    a.authorised_at is null as is_open,
    coalesce(a.authorised_at >= london_midnight(as_of_date() - 27), false) as is_recent,
    working_days_between(
      case when a.started_at > l.started_at then a.started_at else coalesce(c.referred_at, a.started_at) end,
      coalesce(london_date(a.authorised_at), as_of_date())) as workdays_from_referral,
    working_days_between(a.started_at, coalesce(london_date(a.authorised_at), as_of_date()))
      as workdays_from_start
  from (
    select * from begun
    where authorised_at is null or authorised_at >= london_midnight(as_of_date() - interval '1 year' + interval '1 day')
  ) a
  join child_cases c on c.case_id = a.case_id
  left join led_to l on l.case_id = a.case_id
)
select a.assessment_id, a.case_id, coalesce(t.authority, a.authority) as authority,
  coalesce(t.service, 'unknown') as service, a.team_id, a.is_open, a.is_recent,
  a.workdays_from_referral, a.workdays_from_start,
  a.workdays_from_referral <= parameter('assessment_workdays') as in_time_from_referral,
  a.workdays_from_start <= parameter('assessment_workdays') as in_time_from_start
from teams_current t
right join timed a on t.team_id = a.team_id
