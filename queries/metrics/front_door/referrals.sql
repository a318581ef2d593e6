-- name: casewatch_referrals
-- kind: gauge
-- help: Referrals received in the last 12 months and the last 28 days, by decision; undecided ones among them.
-- unit: referrals
-- labels: authority, service, team, period, decision
-- value: referrals
-- needs: referrals
-- source: DOMAIN, no further action
-- publish: count
-- owner: front door manager
-- max_series: 50000
select authority, service, team_id as team, period, decision, referrals
from referral_counts
