-- name: casewatch_referrals
-- kind: gauge
-- help: Referrals received in the last 12 months and the last 28 days, by decision; undecided ones among them.
-- unit: referrals
-- labels: authority, period, decision
-- value: referrals
-- needs: referrals
-- source: DOMAIN, no further action
-- owner: front door manager
-- max_series: 5000
select authority, '12_months' as period, coalesce(decision, 'undecided') as decision, count(*) as referrals
from referrals_in_year
group by authority, coalesce(decision, 'undecided')
union all
select authority, '28_days' as period, coalesce(decision, 'undecided') as decision, count(*) as referrals
from referrals_in_year
where is_recent
group by authority, coalesce(decision, 'undecided')
