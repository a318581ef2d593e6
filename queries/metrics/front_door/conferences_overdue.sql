-- name: casewatch_conferences_overdue
-- kind: gauge
-- help: Section 47 enquiries that are to lead to an initial conference, not held 15 working days after the strategy
--   discussion.
-- unit: conferences
-- labels: authority, service, team
-- value: conferences
-- needs: teams, cases, assessments, conferences
-- source: DOMAIN, timescales
-- publish: count
-- owner: front door manager
-- max_series: 10000
select l.authority, l.service, l.team_id as team, count(c.assessment_id) as conferences
from team_labels l
left join (select * from conferences_awaited where overdue) c
  on c.authority = l.authority and c.service = l.service and c.team_id = l.team_id
group by l.authority, l.service, l.team_id
