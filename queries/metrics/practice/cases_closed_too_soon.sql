-- name: casewatch_cases_closed_too_soon
-- kind: gauge
-- help: Cases that came back: referred again within 90 days of their closure, in the last 12 months and the last 28 days.
-- unit: cases
-- labels: authority, service, team, period
-- value: cases
-- needs: teams, cases, referrals
-- source: DOMAIN, why it exists: cases closed too soon
-- publish: count
-- owner: practice lead
-- max_series: 20000
select l.authority, l.service, l.team_id as team, p.period, count(c.case_id) as cases
from (
  select authority, service, team_id from team_labels
  union
  select authority, service, team_id from closures_in_year
) l
cross join periods p
left join (select * from closures_in_year where too_soon) c
  on c.authority = l.authority and c.service = l.service and c.team_id = l.team_id
  and (c.is_recent or not p.recent_only)
group by l.authority, l.service, l.team_id, p.period
