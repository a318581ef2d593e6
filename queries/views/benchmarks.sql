-- name: benchmarks
-- row: a published figure of DfE for England or a region, at 30 September of a year that as_of_date() has reached, as
--   known_at_date() knew it
-- why: How we compare. Rates are ratios (0 to 1), caseload is cases per full-time equivalent. A figure comes about five
--   months after its date and is revised later: none shows before the day it was published (where that is not known,
--   before a day by which it was), and a first figure shows until the release that may have revised it. published_at is
--   empty where nobody knows when exactly this figure came. Withheld figures are left out.
with release as (
  select cast(time_period as varchar) as year, published_at, coalesce(published_at, public_by) as public_from
  from reference.dfe_workforce_releases
),
published as (
  select r.year, r.published_at,
    case when geographic_level = 'National' then country_name else region_name end as area,
    case when geographic_level = 'National' then country_code else region_code end as area_code,
    try_cast(caseload_fte as double) as caseload,
    try_cast(turnover_rate_fte as double) / 100 as turnover,
    try_cast(vacancy_rate_fte as double) / 100 as vacancy,
    try_cast(agency_rate_fte as double) / 100 as agency,
    try_cast(absence_rate_fte as double) / 100 as absence
  from reference.dfe_workforce_national_regional_2017_2025 f
  join release r on r.year = cast(f.time_period as varchar)
  where cast(concat(r.year, '-09-30') as date) <= as_of_date() and r.public_from <= known_at_date()
),
figures as (
  select area, area_code, year, published_at, 'caseload' as measure, caseload as figure from published
  union all
  select area, area_code, year, published_at, 'turnover' as measure, turnover as figure from published
  union all
  select area, area_code, year, published_at, 'vacancy' as measure, vacancy as figure from published
  union all
  select area, area_code, year, published_at, 'agency' as measure, agency as figure from published
  union all
  select area, area_code, year, published_at, 'absence' as measure, absence as figure from published
),
first_figures as (
  select cast(time_period as varchar) as year, area_code, measure, cast(figure as double) as figure, published_at,
    stood_until > known_at_date() as stands
  from reference.dfe_workforce_first_figures
)
select f.area, f.area_code, f.year, f.measure,
  case when o.stands then o.figure else f.figure end as figure,
  case when o.stands then o.published_at when o.year is null then f.published_at end as published_at
from figures f
left join first_figures o on o.year = f.year and o.area_code = f.area_code and o.measure = f.measure
where f.figure is not null
