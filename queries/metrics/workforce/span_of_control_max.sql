-- name: casewatch_span_of_control_max
-- kind: gauge
-- help: Most people who report to one line manager, agency included, by the manager's service.
-- unit: reports
-- labels: authority, service
-- value: reports
-- needs: teams, contracts
-- source: DOMAIN, span of control
-- publish: over managers
-- owner: workforce team
select authority, service, max(reports) as reports, count(*) as managers
from manager_spans
group by authority, service
