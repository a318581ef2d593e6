-- name: casewatch_assessments_in_time_ratio
-- kind: gauge
-- help: Share of the completed child-and-family assessments that took at most 45 working days, by the clock from the
--   referral and from the start, completed in the last 12 months and the last 28 days.
-- unit: ratio
-- labels: authority, clock, period
-- value: rate
-- needs: assessments, cases, referrals
-- source: DOMAIN, timescales
-- owner: front door manager
select a.authority, 'referral' as clock, p.period, avg(case when a.in_time_from_referral then 1.0 else 0.0 end) as rate
from assessment_times a
cross join periods p
where not a.is_open and (a.is_recent or not p.recent_only)
group by a.authority, p.period
union all
select a.authority, 'start' as clock, p.period, avg(case when a.in_time_from_start then 1.0 else 0.0 end) as rate
from assessment_times a
cross join periods p
where not a.is_open and (a.is_recent or not p.recent_only)
group by a.authority, p.period
