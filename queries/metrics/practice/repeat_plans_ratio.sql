-- name: casewatch_repeat_plans_ratio
-- kind: gauge
-- help: Share of the child protection plans that started in the last 12 months, and the last 28 days, for a child who had one
--   before.
-- unit: ratio
-- labels: authority, period
-- value: share
-- needs: cases, plans, children
-- source: DOMAIN, other indicators: repeat plans
-- publish: share of repeats in plans
-- owner: practice lead
select r.authority, p.period, avg(case when r.is_repeat then 1.0 else 0.0 end) as share,
  sum(case when r.is_repeat then 1 else 0 end) as repeats, count(*) as plans
from repeat_plans r
cross join periods p
where r.is_recent or not p.recent_only
group by r.authority, p.period
