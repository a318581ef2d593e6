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
select authority, period,
  case when sum(decided) > 0 then cast(sum(decided_in_time) as double) / sum(decided) end as rate
from referral_counts
group by authority, period
