-- name: casewatch_posts_vacant_covered_ratio
-- kind: gauge
-- help: Share of the vacant full-time equivalents that agency staff cover; measured today (now) or at the last 30
--   September.
-- unit: ratio
-- labels: authority, measured
-- value: covered
-- needs: contracts, posts
-- source: DfE, children's social work workforce
-- publish: share of covered_posts in vacant_posts
-- owner: workforce team
select authority, measured, case when vacant_fte > 0 then covered_fte / vacant_fte end as covered,
  covered_posts, vacant_posts
from workforce
