-- name: workforce_dates
-- row: a date that the workforce is measured at: as_of_date() ('now'), and the last 30 September ('30_september')
-- why: DfE counts at 30 September with the year before it; the same definitions, rolling, say where things stand today.
--   On a 30 September the two are one. The year before 1 January has 93 days from 30 September on.
select 'now' as measured, as_of_date() as measured_on
union all
select '30_september' as measured,
  cast(date_trunc('year', as_of_date() + interval '93 days') as date) - interval '93 days' as measured_on
