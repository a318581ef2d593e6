-- name: casewatch_referrals_no_further_action_ratio
-- kind: gauge
-- help: Share of decided referrals with the decision of no further action, received in the last 12 months and the
--   last 28 days.
-- unit: ratio
-- labels: authority, period
-- value: rate
-- needs: referrals
-- source: DOMAIN, no further action
-- owner: front door manager
select authority, '12_months' as period, avg(case when decision = 'nfa' then 1.0 else 0.0 end) as rate
from referrals_in_year
where is_decided
group by authority
union all
select authority, '28_days' as period, avg(case when decision = 'nfa' then 1.0 else 0.0 end) as rate
from referrals_in_year
where is_decided and is_recent
group by authority
