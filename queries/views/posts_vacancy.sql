-- name: posts_vacancy
-- row: a social work post in force on as_of_date(), with what of it is vacant and what of that agency staff cover
-- why: Vacant is what the directly employed do not fill, never below 0 for a post; posts not being recruited to and
--   posts covered by agency are vacant all the same. Where no list of posts exists the authority's own total of vacant
--   FTE stands in its place. Posts of personal advisers, family support and others are outside DfE's scope.
with post as (
  select post_id, authority, team_id, fte, recruiting, aggregate_vacant_fte
  from (
    select *, row_number() over (partition by post_id order by valid_from desc) as newest
    from posts
    where valid_from <= as_of_date() and (valid_to is null or valid_to >= as_of_date())
  )
  where newest = 1 and role not in ('personal_adviser', 'family_support', 'other')
),
held as (
  select post_id,
    sum(case when directly_employed then fte end) as direct_fte,
    sum(case when agency then fte end) as agency_fte
  from contracts_in_force
  where post_id is not null
  group by post_id
),
vacancy as (
  select p.post_id, p.authority, p.team_id, p.recruiting,
    cast(p.fte as double) as post_fte,
    cast(coalesce(h.direct_fte, 0) as double) as direct_fte,
    cast(coalesce(h.agency_fte, 0) as double) as agency_fte,
    cast(p.aggregate_vacant_fte as double) as aggregate_vacant_fte
  from post p
  left join held h on h.post_id = p.post_id
)
select post_id, authority, team_id, recruiting, post_fte, direct_fte, agency_fte,
  coalesce(aggregate_vacant_fte, greatest(post_fte - direct_fte, 0)) as vacant_fte,
  least(agency_fte, coalesce(aggregate_vacant_fte, greatest(post_fte - direct_fte, 0))) as covered_fte
from vacancy
