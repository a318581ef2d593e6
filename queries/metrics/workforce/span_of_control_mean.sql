-- name: casewatch_span_of_control_mean
-- kind: gauge
-- help: Mean number of people who report to a line manager, agency included.
-- unit: reports
-- labels: authority
-- value: reports
-- needs: contracts
-- source: DOMAIN, span of control
-- publish: over managers
-- owner: workforce team
select authority, avg(cast(reports as double)) as reports, count(*) as managers
from manager_spans
group by authority
