-- name: activity_before_referral
-- row: an assessment, visit, plan or conference of an open case that lies before its referral was received (census
--   rules 1103, 1105, 2889)
-- why: Nothing comes before its referral; a wrong date turns every timescale into nonsense. Plans and conferences have
--   no time, so that they are before it by their day.
with referred as (
  select c.authority, c.case_id, r.received_at, london_date(r.received_at) as received_on
  from open_cases c
  join referrals r on r.referral_id = c.referral_id
)
select c.authority, c.case_id, a.activity, a.activity_id
from referred c
join (
  select case_id, 'assessment' as activity, assessment_id as activity_id, started_at as began_at,
    cast(null as date) as began_on
  from assessments
  union all
  select case_id, 'visit' as activity, visit_id as activity_id, visited_at as began_at, cast(null as date) as began_on
  from visits
  where visited_at is not null
  union all
  select case_id, 'plan' as activity, plan_id as activity_id, cast(null as timestamp) as began_at, started_on as began_on
  from plans
  union all
  select case_id, 'conference' as activity, conference_id as activity_id, cast(null as timestamp) as began_at,
    held_on as began_on
  from conferences
  where held_on is not null
) a on a.case_id = c.case_id
where a.began_at < c.received_at or a.began_on < c.received_on
