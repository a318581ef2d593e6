-- name: casewatch_starters_fte
-- kind: gauge
-- help: Directly employed child-and-family social workers who started in the year, in full-time equivalents; measured
--   says whether the year ends today (now) or at the last 30 September.
-- unit: fte
-- labels: authority, measured
-- value: fte
-- needs: contracts
-- source: DfE, children's social work workforce
-- publish: over starters
-- owner: workforce team
select authority, measured, starters_fte as fte, starters
from workforce
