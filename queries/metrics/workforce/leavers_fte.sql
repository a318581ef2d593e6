-- name: casewatch_leavers_fte
-- kind: gauge
-- help: Directly employed child-and-family social workers who left in the year to the day, in full-time equivalents.
-- unit: fte
-- labels: authority
-- value: fte
-- needs: contracts
-- source: DfE, children's social work workforce
-- owner: workforce team
select authority, leavers_fte as fte
from workforce
