-- name: workforce
-- row: an authority with every term of DfE's five workforce measures, over the year to as_of_date()
-- why: The rates are ratios of these sums, so that the official figures and the dashboards share one set of numbers.
with post as (
  select authority,
    sum(case when directly_employed then fte end) as in_post_fte,
    sum(case when agency then fte end) as agency_fte,
    count(distinct case when directly_employed then worker_id end) as in_post_workers,
    count(distinct case when agency then worker_id end) as agency_workers,
    sum(case when fte is null then 1 else 0 end) as missing_fte_contracts
  from contracts_in_force
  where child_family_sw
  group by authority
),
leaver as (
  select authority, sum(fte) as leavers_fte, count(*) as leavers from leavers_in_year group by authority
),
vacancy as (
  select authority, sum(vacant_fte) as vacant_fte, sum(covered_fte) as covered_fte from posts_vacancy group by authority
),
absence as (
  select authority, sum(fte_days_lost) as absence_fte_days from absence_days group by authority
)
select p.authority,
  cast(coalesce(p.in_post_fte, 0) as double) as in_post_fte,
  cast(coalesce(p.agency_fte, 0) as double) as agency_fte,
  p.in_post_workers, p.agency_workers, p.missing_fte_contracts,
  coalesce(l.leavers_fte, 0) as leavers_fte,
  coalesce(l.leavers, 0) as leavers,
  coalesce(v.vacant_fte, 0) as vacant_fte,
  coalesce(v.covered_fte, 0) as covered_fte,
  coalesce(a.absence_fte_days, 0) as absence_fte_days
from post p
left join leaver l on l.authority = p.authority
left join vacancy v on v.authority = p.authority
left join absence a on a.authority = p.authority
