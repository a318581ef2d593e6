-- name: workforce
-- row: an authority with every term of DfE's workforce measures at a date that they are measured at, and the year to it
-- why: The rates are ratios of these sums, so that the official figures and the dashboards share one set of numbers.
with post as (
  select measured, authority,
    sum(case when directly_employed then fte end) as in_post_fte,
    sum(case when agency then fte end) as agency_fte,
    count(distinct case when directly_employed then worker_id end) as in_post_workers,
    count(distinct case when agency then worker_id end) as agency_workers,
    sum(case when fte is null then 1 else 0 end) as missing_fte_contracts
  from contracts_on_dates
  where child_family_sw
  group by measured, authority
),
leaver as (
  select measured, authority, sum(fte) as leavers_fte, count(*) as leavers from leavers_in_year group by measured, authority
),
starter as (
  select measured, authority, sum(fte) as starters_fte, count(*) as starters
  from starters_in_year
  group by measured, authority
),
vacancy as (
  select measured, authority, sum(vacant_fte) as vacant_fte, sum(covered_fte) as covered_fte,
    sum(vacant_posts) as vacant_posts, sum(covered_posts) as covered_posts
  from posts_vacancy
  group by measured, authority
),
absence as (
  select measured, authority, sum(fte_days_lost) as absence_fte_days, count(distinct worker_id) as absent_workers
  from absence_days
  group by measured, authority
)
select p.measured, p.authority,
  cast(coalesce(p.in_post_fte, 0) as double) as in_post_fte,
  cast(coalesce(p.agency_fte, 0) as double) as agency_fte,
  p.in_post_workers, p.agency_workers, p.missing_fte_contracts,
  coalesce(l.leavers_fte, 0) as leavers_fte,
  coalesce(l.leavers, 0) as leavers,
  coalesce(s.starters_fte, 0) as starters_fte,
  coalesce(s.starters, 0) as starters,
  coalesce(v.vacant_fte, 0) as vacant_fte,
  coalesce(v.covered_fte, 0) as covered_fte,
  coalesce(v.vacant_posts, 0) as vacant_posts,
  coalesce(v.covered_posts, 0) as covered_posts,
  coalesce(a.absence_fte_days, 0) as absence_fte_days,
  coalesce(a.absent_workers, 0) as absent_workers
from post p
left join leaver l on l.measured = p.measured and l.authority = p.authority
left join starter s on s.measured = p.measured and s.authority = p.authority
left join vacancy v on v.measured = p.measured and v.authority = p.authority
left join absence a on a.measured = p.measured and a.authority = p.authority
