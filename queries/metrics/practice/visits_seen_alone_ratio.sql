-- name: casewatch_visits_seen_alone_ratio
-- kind: gauge
-- help: Share of the visits of the last 28 days at which the child was seen alone, by kind; not recorded counts as not,
--   babies are left out; service and team are "all" on the rows for an authority or a service.
-- unit: ratio
-- labels: authority, service, team, kind
-- value: share
-- needs: cases, visits
-- source: DOMAIN, other indicators: children not seen alone
-- publish: share of alone in visits
-- owner: practice lead
-- max_series: 50000
select authority, coalesce(service, 'all') as service, coalesce(team_id, 'all') as team, kind,
  avg(case when seen_alone = 'yes' then 1.0 else 0.0 end) as share,
  sum(case when seen_alone = 'yes' then 1 else 0 end) as alone, count(*) as visits
from recent_visits
where seen_alone <> 'not_appropriate'
group by grouping sets ((authority, kind), (authority, service, kind), (authority, service, team_id, kind))
