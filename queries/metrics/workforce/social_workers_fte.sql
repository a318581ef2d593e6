-- name: casewatch_social_workers_fte
-- kind: gauge
-- help: Child-and-family social workers in full-time equivalents: directly employed (in post, absent staff included)
--   and agency; measured today (now) or at the last 30 September.
-- unit: fte
-- labels: authority, employment, measured
-- value: fte
-- needs: contracts
-- source: DfE, children's social work workforce
-- publish: over heads
-- owner: workforce team
select authority, measured, 'directly_employed' as employment, in_post_fte as fte, in_post_workers as heads from workforce
union all
select authority, measured, 'agency' as employment, agency_fte as fte, agency_workers as heads from workforce
