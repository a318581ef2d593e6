-- name: activity_before_referral
-- row: an assessment, visit, plan or conference of an open case on a day before its referral was received (census rules
--   1103, 1105, 2889)
-- why: Nothing comes before its referral; a wrong date turns every timescale into nonsense. By days, since plans and
--   conferences have no time and sources may give a date alone: what was done on the day of the referral followed it.
select c.authority, c.case_id, a.activity, a.activity_id
from (select authority, case_id, london_date(referred_at) as received_on from open_cases where referred_at is not null) c
join (
  select case_id, 'assessment' as activity, assessment_id as activity_id, london_date(started_at) as began_on
  from case_assessments
  union all
  select case_id, 'visit' as activity, visit_id as activity_id, london_date(visited_at) as began_on
  from visits_made
  union all
  select case_id, 'plan' as activity, plan_id as activity_id, started_on as began_on
  from case_plans
  union all
  select case_id, 'conference' as activity, conference_id as activity_id, held_on as began_on
  from conferences
  where held_on is not null
) a on a.case_id = c.case_id
where a.began_on < c.received_on
