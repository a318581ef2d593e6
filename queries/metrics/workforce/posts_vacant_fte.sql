-- name: casewatch_posts_vacant_fte
-- kind: gauge
-- help: Vacant social work posts in full-time equivalents, those covered by agency and those not being recruited to
--   included.
-- unit: fte
-- labels: authority, measured
-- value: fte
-- needs: contracts, posts
-- source: DfE, children's social work workforce
-- owner: workforce team
select authority, measured, vacant_fte as fte
from workforce
