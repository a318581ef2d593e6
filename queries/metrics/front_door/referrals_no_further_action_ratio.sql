-- name: casewatch_referrals_no_further_action_ratio
-- kind: gauge
-- help: Share of decided referrals with the decision of no further action, received in the last 12 months and the
--   last 28 days; service and team are "all" on the rows for an authority or a service.
-- unit: ratio
-- labels: authority, service, team, period
-- value: rate
-- needs: referrals
-- source: DOMAIN, no further action
-- publish: share of no_action in decisions
-- owner: front door manager
-- max_series: 20000
select authority, coalesce(service, 'all') as service, coalesce(team_id, 'all') as team, period,
  case when sum(decided) > 0 then cast(sum(case when decision = 'nfa' then decided else 0 end) as double) / sum(decided) end as rate,
  sum(case when decision = 'nfa' then decided else 0 end) as no_action, sum(decided) as decisions
from referral_counts
group by grouping sets ((authority, period), (authority, service, period), (authority, service, team_id, period))
