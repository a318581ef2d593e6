-- name: casewatch_re_referrals_ratio
-- kind: gauge
-- help: Share of referrals that follow an earlier one of the same child within 12 months, received in the last 12
--   months and the last 28 days.
-- unit: ratio
-- labels: authority, period
-- value: rate
-- needs: referrals, children
-- source: DOMAIN, re-referral
-- publish: share of again in referrals
-- owner: front door manager
select r.authority, p.period, avg(case when r.is_re_referral then 1.0 else 0.0 end) as rate,
  sum(case when r.is_re_referral then 1 else 0 end) as again, count(*) as referrals
from re_referrals r
cross join periods p
where r.is_recent or not p.recent_only
group by r.authority, p.period
