-- name: casewatch_newly_qualified_ratio
-- kind: gauge
-- help: Share of the social workers who are in their newly qualified year, heads, agency included; service and team are
--   "all" on the rows for an authority or a service.
-- unit: ratio
-- labels: authority, service, team
-- value: share
-- needs: teams, workers, contracts
-- source: DOMAIN, other indicators: newly qualified share
-- publish: share of newly_qualified in social_workers
-- owner: workforce team
-- max_series: 20000
select authority, service, team_id as team, cast(newly_qualified as double) / social_workers as share,
  newly_qualified, social_workers
from newly_qualified_shares
