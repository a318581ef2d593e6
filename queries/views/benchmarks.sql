-- name: benchmarks
-- row: a published figure of DfE for England or a region, at 30 September of a year that as_of_date() has reached
-- why: How we compare. Rates are ratios (0 to 1), caseload is cases per full-time equivalent. A year is not used before
--   its own date; the files do not say when a figure was published or revised. Withheld figures are left out.
with published as (
  select cast(time_period as varchar) as year,
    case when geographic_level = 'National' then country_name else region_name end as area,
    case when geographic_level = 'National' then country_code else region_code end as area_code,
    try_cast(caseload_fte as double) as caseload,
    try_cast(turnover_rate_fte as double) / 100 as turnover,
    try_cast(vacancy_rate_fte as double) / 100 as vacancy,
    try_cast(agency_rate_fte as double) / 100 as agency,
    try_cast(absence_rate_fte as double) / 100 as absence
  from reference.dfe_workforce_national_regional_2017_2025
  where cast(concat(cast(time_period as varchar), '-09-30') as date) <= as_of_date()
),
figures as (
  select area, area_code, year, 'caseload' as measure, caseload as figure from published
  union all
  select area, area_code, year, 'turnover' as measure, turnover as figure from published
  union all
  select area, area_code, year, 'vacancy' as measure, vacancy as figure from published
  union all
  select area, area_code, year, 'agency' as measure, agency as figure from published
  union all
  select area, area_code, year, 'absence' as measure, absence as figure from published
)
select area, area_code, year, measure, figure from figures where figure is not null
