-- name: casewatch_cases_nominally_held
-- kind: gauge
-- help: Open cases held by a manager, a duty desk or a tray.
-- unit: cases
-- labels: authority, service, team, holder_kind
-- value: cases
-- needs: teams, cases, allocations
-- source: DOMAIN, allocation states
-- publish: count
-- owner: performance team
-- max_series: 30000
select authority, service, team_id as team, holder_kind, count(*) as cases
from allocation_state
where holder_kind in ('manager', 'duty', 'team_tray')
group by authority, service, team_id, holder_kind
