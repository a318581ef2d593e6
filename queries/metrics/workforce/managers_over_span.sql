-- name: casewatch_managers_over_span
-- kind: gauge
-- help: Line managers with more people reporting to them than the span of control allows, by the manager's service.
-- unit: managers
-- labels: authority, service
-- value: managers
-- needs: teams, contracts
-- source: DOMAIN, span of control
-- publish: count
-- owner: workforce team
select authority, service, sum(case when over_span then 1 else 0 end) as managers
from manager_spans
group by authority, service
