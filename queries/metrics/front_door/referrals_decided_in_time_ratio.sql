-- name: casewatch_referrals_decided_in_time_ratio
-- kind: gauge
-- help: Share of decided referrals that were decided within one working day, received in the last 12 months and the
--   last 28 days.
-- unit: ratio
-- labels: authority, period
-- value: rate
-- needs: referrals
-- source: DOMAIN, no further action
-- owner: front door manager
select authority, '12_months' as period, avg(case when working_days_between(received_at, decided_at) <= parameter('referral_decision_workdays') then 1.0 else 0.0 end) as rate
from referrals_in_year
where is_decided
group by authority
union all
select authority, '28_days' as period, avg(case when working_days_between(received_at, decided_at) <= parameter('referral_decision_workdays') then 1.0 else 0.0 end) as rate
from referrals_in_year
where is_decided and is_recent
group by authority
