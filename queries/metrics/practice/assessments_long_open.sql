-- name: casewatch_assessments_long_open
-- kind: gauge
-- help: Child-and-family assessments open for more than 65 working days since their referral; those of a child assessed
--   again in the same case since their start.
-- unit: assessments
-- labels: authority, service, team
-- value: assessments
-- needs: teams, cases, assessments
-- source: DOMAIN, other indicators: long-open assessments
-- publish: count
-- owner: practice lead
-- max_series: 10000
select l.authority, l.service, l.team_id as team, count(a.assessment_id) as assessments
from team_labels l
left join long_open_assessments a
  on a.authority = l.authority and a.service = l.service and a.team_id = l.team_id
group by l.authority, l.service, l.team_id
