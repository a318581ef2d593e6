-- name: published_rates
-- row: a rate that DfE published for an authority at a 30 September, beside what casewatch counts at the end of that day
-- why: whether our counting is DfE's: run it as of a 30 September, over an authority's own data or over what
--   `casewatch simulate --from-csv` makes of the published numerators. Rates are in points, caseload in cases per
--   full-time equivalent. agrees allows for 0.2 points and 0.1 cases; it is empty where DfE
--   withheld the figure, and "low" is what rounds to 0.0
with measure as (
  select column1 as measure, column2 as tolerance
  from (values ('turnover', 0.2), ('vacancy', 0.2), ('agency', 0.2), ('absence', 0.2), ('caseload', 0.1))
),
census as (
  select measured_on from workforce_dates where measured = '30_september'
),
published as (
  select new_la_code as authority, la_name as name, time_period as year, turnover_rate_fte, vacancy_rate_fte,
    agency_rate_fte, absence_rate_fte, caseload_fte
  from reference.dfe_workforce_local_authority_2017_2022
  cross join census
  where cast(time_period as int) = date_part('year', measured_on)
),
published_rates as (
  select p.authority, p.name, p.year, m.measure, m.tolerance,
    case m.measure
      when 'turnover' then p.turnover_rate_fte
      when 'vacancy' then p.vacancy_rate_fte
      when 'agency' then p.agency_rate_fte
      when 'absence' then p.absence_rate_fte
      else p.caseload_fte
    end as published
  from published p
  cross join measure m
),
counted as (
  select authority, measure, 100 * rate as counted from dfe_rates where measured = '30_september'
  union all
  -- A caseload is one of today: another day than the 30 September has none to compare.
  select d.authority, 'caseload' as measure, d.cases / d.fte as counted
  from dfe_caseload d
  cross join census
  where d.fte > 0 and measured_on = as_of_date()
)
select p.authority, p.name, p.year, p.measure, p.published, round(c.counted, 2) as counted,
  round(c.counted - try_cast(p.published as double), 2) as difference,
  case when p.published = 'low' then c.counted < 0.05
    else abs(c.counted - try_cast(p.published as double)) <= p.tolerance + 1e-9 end as agrees
from published_rates p
join counted c on c.authority = p.authority and c.measure = p.measure
order by p.name, p.year, p.measure
