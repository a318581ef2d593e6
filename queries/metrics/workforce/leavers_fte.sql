-- name: casewatch_leavers_fte
-- kind: gauge
-- help: Directly employed child-and-family social workers who left in the year to the day, in full-time equivalents;
--   measured today (now) or at the last 30 September.
-- unit: fte
-- labels: authority, measured
-- value: fte
-- needs: contracts
-- source: DfE, children's social work workforce
-- publish: over leavers
-- owner: workforce team
select authority, measured, leavers_fte as fte, leavers
from workforce
