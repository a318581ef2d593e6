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
select authority, period,
  case when sum(decided) > 0 then cast(sum(case when decision = 'nfa' then decided else 0 end) as double) / sum(decided) end as rate
from referral_counts
group by authority, period
