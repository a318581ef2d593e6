-- name: casewatch_cases_closed_today
-- kind: gauge
-- help: Cases closed on the day itself: over three times a usual day may be a backlog closed rather than worked.
-- unit: cases
-- labels: authority
-- value: cases
-- needs: teams, cases
-- source: DOMAIN, alerts: false recovery
-- publish: count
-- owner: performance team
select authority, closed_today as cases
from case_flow
