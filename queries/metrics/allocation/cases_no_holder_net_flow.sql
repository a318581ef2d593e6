-- name: casewatch_cases_no_holder_net_flow
-- kind: gauge
-- help: Change of the open cases without a holder since the end of the last working day before the day itself.
-- unit: cases
-- labels: authority, service, team
-- value: cases
-- needs: teams, cases, allocations
-- source: DOMAIN, first thing in the morning
-- publish: withheld it sets a day against one of the month before it: what differs may be one
--   child's case
-- owner: performance team
-- max_series: 10000
select l.authority, l.service, l.team_id as team, coalesce(sum(c.net), 0) as cases
from (
  select authority, service, team_id from team_labels
  union
  select authority, service, team_id from no_holder_changes
) l
left join no_holder_changes c on c.authority = l.authority and c.service = l.service and c.team_id = l.team_id
group by l.authority, l.service, l.team_id
