-- name: casewatch_visits_owed
-- kind: gauge
-- help: Children of open cases who are owed a visit, by kind of visit: those with a timescale, late or not.
-- unit: visits
-- labels: authority, service, team, kind
-- value: visits
-- needs: teams, cases, plans, visits
-- source: DOMAIN, timescales
-- publish: count
-- owner: practice lead
-- max_series: 50000
select authority, service, team_id as team, kind, owed as visits
from visit_counts
