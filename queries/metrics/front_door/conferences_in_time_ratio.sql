-- name: casewatch_conferences_in_time_ratio
-- kind: gauge
-- help: Share of initial child protection conferences held within 15 working days of the strategy discussion, in the
--   last 12 months and the last 28 days.
-- unit: ratio
-- labels: authority, period
-- value: rate
-- needs: conferences, assessments
-- source: DOMAIN, timescales
-- publish: share of in_time in conferences
-- owner: front door manager
select c.authority, p.period, avg(case when c.in_time then 1.0 else 0.0 end) as rate,
  sum(case when c.in_time then 1 else 0 end) as in_time, count(*) as conferences
from conference_times c
cross join periods p
where c.is_recent or not p.recent_only
group by c.authority, p.period
