-- name: casewatch_posts_covered_fte
-- kind: gauge
-- help: Vacant social work posts that agency staff cover, in full-time equivalents; measured today (now) or at the
--   last 30 September.
-- unit: fte
-- labels: authority, measured
-- value: fte
-- needs: contracts, posts
-- source: DfE, children's social work workforce
-- publish: over posts
-- owner: workforce team
select authority, measured, covered_fte as fte, covered_posts as posts
from workforce
