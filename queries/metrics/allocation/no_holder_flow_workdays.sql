-- name: casewatch_no_holder_flow_workdays
-- kind: gauge
-- help: Cases without a holder in days of flow: how many working days of newly opened cases they amount to.
-- unit: workdays
-- labels: authority
-- value: flow
-- needs: teams, cases, allocations
-- source: DOMAIN, days of flow
-- publish: withheld it says no more than casewatch_cases_no_holder over casewatch_cases_opened_per_workday,
--   and would say it where one of them is withheld
-- owner: performance team
select authority, case when opened_per_workday > 0 then no_holder / opened_per_workday end as flow
from case_flow
