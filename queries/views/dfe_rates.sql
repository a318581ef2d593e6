-- name: dfe_rates
-- row: an authority with one of DfE's workforce rates (turnover, vacancy, agency, absence) at a date that they are measured at
-- why: Each rate's two terms stand once, for the metrics and for the comparison with what was published. A ratio, 0 to 1
--   (turnover may be more); empty where there is nobody to divide by. Average caseload is in dfe_caseload.
with terms as (
  select measured, authority, 'turnover' as measure, leavers_fte as part, in_post_fte as whole from workforce
  union all
  select measured, authority, 'vacancy' as measure, vacant_fte as part, vacant_fte + in_post_fte as whole from workforce
  union all
  select measured, authority, 'agency' as measure, agency_fte as part, agency_fte + in_post_fte as whole from workforce
  union all
  select measured, authority, 'absence' as measure, absence_fte_days as part,
    in_post_fte * parameter('absence_year_workdays') as whole
  from workforce
)
select measured, authority, measure, case when whole > 0 then part / whole end as rate from terms
