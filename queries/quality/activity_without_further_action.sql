-- name: activity_without_further_action
-- row: a case with an assessment or a plan although its referral was decided as no further action (census rule 8831)
-- why: Work is going on that the decision says is not, and the case is missing from the open ones.
with refused as (
  select c.authority, c.case_id
  from (select referral_id from referrals where decision = 'nfa' and decided_at <= as_of()) r
  join cases c on c.referral_id = r.referral_id
)
select r.authority, r.case_id, 'assessment' as activity, a.assessment_id as activity_id
from refused r
join assessments a on a.case_id = r.case_id
where a.started_at <= as_of()
union all
select r.authority, r.case_id, 'plan' as activity, p.plan_id as activity_id
from refused r
join plans p on p.case_id = r.case_id
where p.started_on <= as_of_date()
