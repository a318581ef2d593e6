-- name: casewatch_caseload_max_weighted_ratio
-- kind: gauge
-- help: Highest weighted caseload of one worker of the team: cases over what the norm allows for her hours, less in the
--   newly qualified year.
-- unit: ratio
-- labels: authority, service, team
-- value: weighted
-- needs: teams, workers, contracts, cases, allocations
-- source: DOMAIN, weighted
-- publish: over workers
-- owner: performance team
-- max_series: 10000
select authority, service, team_id as team, max_weighted as weighted, weighted_workers as workers
from team_caseload
where team_id <> 'all'
