-- name: casewatch_cases_closed_never_effective
-- kind: gauge
-- help: Cases closed in the last 12 months and the last 28 days that never had an effective worker.
-- unit: cases
-- labels: authority, service, team, period
-- value: cases
-- needs: teams, cases, allocations
-- source: DOMAIN, also
-- publish: count
-- owner: performance team
-- max_series: 20000
select l.authority, l.service, l.team_id as team, p.period, count(c.case_id) as cases
from (
  select authority, service, team_id from team_labels
  union
  select authority, service, team_id from cases_never_effective
) l
cross join periods p
left join cases_never_effective c
  on c.authority = l.authority and c.service = l.service and c.team_id = l.team_id
  and (c.is_recent or not p.recent_only)
group by l.authority, l.service, l.team_id, p.period
