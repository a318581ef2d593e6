-- name: casewatch_referrals_decided_in_time_ratio
-- kind: gauge
-- help: Share of referrals decided within one working day, of those with a time of decision, received in the last 12 months and
--   the last 28 days; service and team are "all" on the rows for an authority or a service.
-- unit: ratio
-- labels: authority, service, team, period
-- value: rate
-- needs: referrals
-- source: DOMAIN, no further action
-- publish: share of in_time in decisions
-- owner: front door manager
-- max_series: 20000
select authority, coalesce(service, 'all') as service, coalesce(team_id, 'all') as team, period,
  case when sum(timed) > 0 then cast(sum(decided_in_time) as double) / sum(timed) end as rate,
  sum(decided_in_time) as in_time, sum(timed) as decisions
from referral_counts
group by grouping sets ((authority, period), (authority, service, period), (authority, service, team_id, period))
