-- name: casewatch_visits_falling_due
-- kind: gauge
-- help: Visits that fall due today or within the coming 5 working days, by kind.
-- unit: visits
-- labels: authority, service, team, kind
-- value: visits
-- needs: teams, cases, plans, visits
-- source: DOMAIN, timescales
-- publish: count
-- owner: practice lead
-- max_series: 50000
select authority, service, team_id as team, kind, falls_due as visits
from visit_counts
