-- name: casewatch_dfe_caseload_cases_per_fte
-- kind: gauge
-- help: Average caseload as DfE defines it: cases held by social workers, agency included, per full-time equivalent
--   of those holding at least one; unallocated cases are in neither term.
-- unit: cases_per_fte
-- labels: authority
-- value: cases_per_fte
-- needs: teams, workers, contracts, cases, allocations
-- source: DfE, children's social work workforce
-- publish: over workers
-- owner: performance team
select authority, case when fte > 0 then cases / fte end as cases_per_fte, workers
from dfe_caseload
