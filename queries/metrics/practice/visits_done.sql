-- name: casewatch_visits_done
-- kind: gauge
-- help: Visits of the last 28 days at which the child was seen, by kind and whether they were in time (yes, no).
-- unit: visits
-- labels: authority, service, team, kind, in_time
-- value: visits
-- needs: teams, cases, plans, visits
-- source: DOMAIN, timescales
-- publish: count
-- owner: practice lead
-- max_series: 100000
select authority, service, team_id as team, kind, 'yes' as in_time, done - done_late as visits from visit_counts
union all
select authority, service, team_id as team, kind, 'no' as in_time, done_late as visits from visit_counts
