-- name: casewatch_families_with_open_case
-- kind: gauge
-- help: Families with an open case, siblings counted once; service and team are "all" on the rows for an authority or
--   a service.
-- unit: families
-- labels: authority, service, team
-- value: families
-- needs: teams, cases, children
-- source: DOMAIN, caseload of a worker
-- publish: distinct
-- owner: performance team
-- max_series: 20000
select authority, service, team_id as team, families
from team_families
