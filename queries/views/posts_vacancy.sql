-- name: posts_vacancy
-- row: a social work post in force on a date that the workforce is measured at, with what of it is vacant and what of that agency staff cover
-- why: Vacant is what the directly employed do not fill, never below 0 for a post; posts not being recruited to and
--   posts covered by agency are vacant all the same. Where no list of posts exists the authority's own total of vacant
--   FTE stands in its place, which is at least as many posts. Posts of personal advisers, family support and others are
--   outside DfE's scope. The posts that are vacant or covered in any part are counted, for what may be published.
with post as (
  select measured, post_id, authority, team_id, fte, recruiting, aggregate_vacant_fte
  from (
    select d.measured, p.*, row_number() over (partition by d.measured, p.post_id order by p.valid_from desc) as newest
    from workforce_dates d
    cross join posts p
    where p.valid_from <= d.measured_on and (p.valid_to is null or p.valid_to >= d.measured_on)
  )
  where newest = 1 and role not in ('personal_adviser', 'family_support', 'other')
),
held as (
  select measured, post_id,
    sum(case when directly_employed then fte end) as direct_fte,
    sum(case when agency then fte end) as agency_fte
  from contracts_on_dates
  where post_id is not null
  group by measured, post_id
),
vacancy as (
  select p.measured, p.post_id, p.authority, p.team_id, p.recruiting,
    cast(p.fte as double) as post_fte,
    cast(coalesce(h.direct_fte, 0) as double) as direct_fte,
    cast(coalesce(h.agency_fte, 0) as double) as agency_fte,
    cast(p.aggregate_vacant_fte as double) as aggregate_vacant_fte
  from post p
  left join held h on h.measured = p.measured and h.post_id = p.post_id
)
select measured, post_id, authority, team_id, recruiting, post_fte, direct_fte, agency_fte,
  coalesce(aggregate_vacant_fte, greatest(post_fte - direct_fte, 0)) as vacant_fte,
  least(agency_fte, coalesce(aggregate_vacant_fte, greatest(post_fte - direct_fte, 0))) as covered_fte,
  cast(case when aggregate_vacant_fte is not null then ceil(aggregate_vacant_fte) when post_fte > direct_fte then 1 else 0 end
    as bigint) as vacant_posts,
  cast(case when aggregate_vacant_fte is not null then ceil(least(agency_fte, aggregate_vacant_fte))
    when post_fte > direct_fte and agency_fte > 0 then 1 else 0 end as bigint) as covered_posts
from vacancy
