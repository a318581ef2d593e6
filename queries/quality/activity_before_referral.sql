-- name: activity_before_referral
-- row: an open case with an assessment that started before its referral was received (census rules 1103, 1105, 2889)
-- why: Nothing comes before its referral; a wrong date turns every timescale into nonsense.
select c.authority, c.case_id, 'assessment' as activity, a.assessment_id as activity_id
from open_cases c
join referrals r on r.referral_id = c.referral_id
join assessments a on a.case_id = c.case_id
where a.started_at < r.received_at
