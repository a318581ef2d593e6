-- name: allocation_survival
-- row: an authority, a period (12_months, 28_days) and a wait in working days, with the share of cases still waiting
--   after it
-- why: Kaplan-Meier: at each wait the share falls by those allocated then over those that had waited as long; a case
--   that closed or still waits counts up to then. A median that is not reached is absent, never guessed.
with waits as (
  select a.authority, p.period, a.waited_workdays as workdays,
    sum(case when a.allocated then 1 else 0 end) as allocations, count(*) as leaving
  from time_to_allocation a
  cross join periods p
  where a.is_recent or not p.recent_only
  group by a.authority, p.period, a.waited_workdays
),
at_risk as (
  select authority, period, workdays, allocations,
    sum(leaving) over (partition by authority, period order by workdays desc) as cases
  from waits
),
step as (
  -- Nobody is left after the wait at which all who had waited as long were allocated: it is the last, and ln(0) in the sum
  -- would make every share before it unknown, too.
  select authority, period, workdays, cases, allocations, allocations = cases as is_empty,
    case when allocations < cases then ln(1.0 - cast(allocations as double) / cast(cases as double)) else 0.0 end as fall
  from at_risk
)
select authority, period, workdays, cases, allocations,
  case when is_empty then 0.0 else exp(sum(fall) over (partition by authority, period order by workdays)) end
    as still_waiting
from step
