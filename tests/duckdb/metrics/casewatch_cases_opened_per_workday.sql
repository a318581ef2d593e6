-- Over the last 20 working days; today is one, if it is a working day. What opens at a weekend counts with them.
with first as (
  select min(day) as day from calendar
  where worked = (select worked - 19 from calendar where day = today())
)
select authority, count(*) / 20 as value
from child_case where london(opened_at) >= (select day from first)
group by all
