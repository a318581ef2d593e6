-- name: absence_days
-- row: a directly employed social worker's sickness absence in the year to a date that the workforce is measured at,
--   under one of her contracts
-- why: FTE days: the working days absent times the contract's FTE. The figure HR gives wins over the derived one; of an
--   absence that reaches beyond the year it counts in the share of its working days that fall inside; of contracts side
--   by side each has its share.
with sickness as (
  select d.measured, d.measured_on, a.worker_id, a.absence_id, a.started_on, a.ended_on,
    least(coalesce(a.ended_on, d.measured_on), d.measured_on) as last_day,
    cast(a.fte_days_lost as double) as fte_days_lost
  from workforce_dates d
  cross join (select * from absences where reason = 'SIC') a
  where a.started_on <= d.measured_on
    and (a.ended_on is null or a.ended_on > d.measured_on - interval '1 year')
),
employed as (
  select authority, worker_id, contract_id, team_id, started_on, coalesce(ended_on, date '2099-12-31') as last_day,
    cast(fte as double) as fte
  from contracts
  where employment in ('permanent', 'fixed_term') and child_family_sw
),
overlap as (
  select s.measured, e.authority, e.team_id, s.worker_id, s.absence_id, e.contract_id, e.fte, s.fte_days_lost,
    working_days_between(s.started_on - 1, coalesce(s.ended_on, as_of_date())) as absence_workdays,
    greatest(s.started_on, e.started_on, s.measured_on - interval '1 year' + interval '1 day') as first_day,
    least(s.last_day, e.last_day) as last_day,
    working_days_between(greatest(s.started_on - 1, cast(s.measured_on - interval '1 year' as date)), s.last_day)
      as year_workdays
  from sickness s
  join employed e on e.worker_id = s.worker_id
),
counted as (
  select *, working_days_between(first_day - 1, last_day) as workdays
  from overlap
  where last_day >= first_day
),
shared as (
  select *, sum(workdays) over (partition by measured, worker_id, absence_id) as contract_workdays from counted
)
select measured, authority, team_id, worker_id, absence_id, contract_id, workdays,
  coalesce(
    case when absence_workdays > 0 and contract_workdays > 0
      then fte_days_lost * year_workdays / absence_workdays
        * workdays / greatest(contract_workdays, year_workdays) end,
    fte * workdays) as fte_days_lost
from shared
