-- name: activity_without_further_action
-- row: a case with an assessment or a plan although its referral was decided as no further action in the last
--   12 months (census rule 8831); where the decision has no time, received in them
-- why: Work is going on that the decision says is not, and the case is missing from the open ones.
with activity as (
  select case_id, 'assessment' as activity, assessment_id as activity_id from assessments where started_at <= as_of()
  union all
  select case_id, 'plan' as activity, plan_id as activity_id from plans where started_on <= as_of_date()
)
select r.authority, r.case_id, a.activity, a.activity_id
from (
  select c.authority, c.case_id
  from (
    select referral_id
    from referrals
    where decision = 'nfa' and received_at <= as_of() and (decided_at is null or decided_at <= as_of())
      and coalesce(decided_at, received_at) >= london_midnight(as_of_date() - interval '1 year' + interval '1 day')
  ) n
  join cases c on c.referral_id = n.referral_id
) r
join activity a on a.case_id = r.case_id
