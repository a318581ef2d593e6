-- name: activity_without_further_action
-- row: a case with an assessment begun or a plan in force in the last 12 months although its referral was decided as no
--   further action in them (census rule 8831); where the decision has no time, received in them
-- why: Work is going on that the decision says is not, and the case is missing from the open ones.
with activity as (
  select case_id, 'assessment' as activity, assessment_id as activity_id
  from assessments
  where started_at <= as_of() and started_at >= london_midnight(as_of_date() - interval '1 year' + interval '1 day')
  union all
  select case_id, 'plan' as activity, plan_id as activity_id
  from plans
  where started_on <= as_of_date() and (ended_on is null or ended_on > as_of_date() - interval '1 year')
),
decided as (
  select c.authority, c.case_id
  from (
    select referral_id
    from referrals
    where decision = 'nfa' and received_at <= as_of() and (decided_at is null or decided_at <= as_of())
      and (decided_at >= london_midnight(as_of_date() - interval '1 year' + interval '1 day')
        or (decided_at is null and received_at >= london_midnight(as_of_date() - interval '1 year' + interval '1 day')))
  ) n
  join (
    select authority, case_id, referral_id
    from cases
    where closed_at is null or closed_at >= london_midnight(as_of_date() - interval '1 year' + interval '1 day')
  ) c on c.referral_id = n.referral_id
)
select d.authority, d.case_id, a.activity, a.activity_id
from decided d
join activity a on a.case_id = d.case_id
