-- name: casewatch_cases_no_holder_changed
-- kind: gauge
-- help: Cases that came to be without a holder (opened, holder_ended) or ceased to be (held, closed) since the end of
--   the last working day before the day itself.
-- unit: cases
-- labels: authority, service, team, change
-- value: cases
-- needs: teams, cases, allocations
-- source: DOMAIN, first thing in the morning
-- publish: count
-- owner: performance team
-- max_series: 40000
select l.authority, l.service, l.team_id as team, k.change, count(c.case_id) as cases
from (
  select authority, service, team_id from team_labels
  union
  select authority, service, team_id from no_holder_changes
) l
cross join (select column1 as change from (values ('opened'), ('holder_ended'), ('held'), ('closed'))) k
left join no_holder_changes c
  on c.authority = l.authority and c.service = l.service and c.team_id = l.team_id and c.change = k.change
group by l.authority, l.service, l.team_id, k.change
