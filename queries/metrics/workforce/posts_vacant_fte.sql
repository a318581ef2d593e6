-- name: casewatch_posts_vacant_fte
-- kind: gauge
-- help: Vacant social work posts in full-time equivalents, those covered by agency and those not being recruited to
--   included; measured today (now) or at the last 30 September.
-- unit: fte
-- labels: authority, measured
-- value: fte
-- needs: contracts, posts
-- source: DfE, children's social work workforce
-- publish: over posts
-- owner: workforce team
select authority, measured, vacant_fte as fte, vacant_posts as posts
from workforce
