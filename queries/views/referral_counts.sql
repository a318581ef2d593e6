-- name: referral_counts
-- row: a team, a period (12_months, 28_days) and a decision, with its referrals
-- why: Counts and rates of both periods from one pass. timed are the decided ones whose decision has a time.
with counted as (
  select authority, service, team_id, is_recent, coalesce(decision, 'undecided') as decision, count(*) as referrals,
    sum(case when is_decided then 1 else 0 end) as decided,
    sum(case when is_timed then 1 else 0 end) as timed,
    sum(case when is_decided_in_time then 1 else 0 end) as decided_in_time
  from referrals_in_year
  group by authority, service, team_id, is_recent, coalesce(decision, 'undecided')
)
select authority, service, team_id, p.period, decision, sum(referrals) as referrals, sum(decided) as decided,
  sum(timed) as timed, sum(decided_in_time) as decided_in_time
from counted
cross join periods p
where is_recent or not p.recent_only
group by authority, service, team_id, p.period, decision
