-- name: casewatch_visits_late
-- kind: gauge
-- help: Children of open cases whose visit is late, by kind: its due day has passed.
-- unit: visits
-- labels: authority, service, team, kind
-- value: visits
-- needs: teams, cases, plans, visits
-- source: DOMAIN, timescales
-- publish: count
-- owner: practice lead
-- max_series: 50000
select authority, service, team_id as team, kind, late as visits
from visit_counts
