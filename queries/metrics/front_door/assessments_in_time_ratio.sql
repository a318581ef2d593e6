-- name: casewatch_assessments_in_time_ratio
-- kind: gauge
-- help: Share of the completed child-and-family assessments that took at most 45 working days, by the clock from the
--   referral (of a child assessed again in the same case from the start, too) and from the start, completed in the last
--   12 months and the last 28 days; service and team are "all" on the rows for an authority or a service.
-- unit: ratio
-- labels: authority, service, team, clock, period
-- value: rate
-- needs: assessments, cases, referrals
-- source: DOMAIN, timescales
-- publish: share of in_time in assessments
-- owner: front door manager
-- max_series: 40000
select a.authority, coalesce(a.service, 'all') as service, coalesce(a.team_id, 'all') as team, c.clock, p.period,
  avg(case when c.clock = 'referral' and a.in_time_from_referral or c.clock = 'start' and a.in_time_from_start
    then 1.0 else 0.0 end) as rate,
  sum(case when c.clock = 'referral' and a.in_time_from_referral or c.clock = 'start' and a.in_time_from_start
    then 1 else 0 end) as in_time,
  count(*) as assessments
from assessment_times a
cross join (select column1 as clock from (values ('referral'), ('start'))) c
cross join periods p
where not a.is_open and (a.is_recent or not p.recent_only)
group by grouping sets ((a.authority, c.clock, p.period), (a.authority, a.service, c.clock, p.period),
  (a.authority, a.service, a.team_id, c.clock, p.period))
