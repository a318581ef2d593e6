-- name: dfe_rates
-- row: an authority with one of DfE's workforce rates (turnover, vacancy, agency, absence) at a date that they are measured at
-- why: Each rate's two terms stand once, for the metrics and for the comparison with what was published. A ratio, 0 to 1
--   (turnover may be more); empty where there is nobody to divide by. Average caseload is in dfe_caseload.
with terms as (
  select w.measured, w.authority, m.measure,
    case m.measure
      when 'turnover' then w.leavers_fte
      when 'vacancy' then w.vacant_fte
      when 'agency' then w.agency_fte
      else w.absence_fte_days
    end as part,
    case m.measure
      when 'turnover' then w.in_post_fte
      when 'vacancy' then w.vacant_fte + w.in_post_fte
      when 'agency' then w.agency_fte + w.in_post_fte
      else w.in_post_fte * parameter('absence_year_workdays')
    end as whole
  from (select column1 as measure from (values ('turnover'), ('vacancy'), ('agency'), ('absence'))) m
  cross join workforce w
)
select measured, authority, measure, case when whole > 0 then part / whole end as rate from terms
