-- name: case_flow
-- row: an authority with the cases opened and closed a working day, usually and on the day itself
-- why: A backlog means little without the flow it stands against. Usual is the mean of the last 20 working days, the
--   day of as_of() included; cases opened at a weekend count, weekends do not lengthen the time.
with day as (
  select authority, no_holder, 0 as opened, 0 as closed, 0 as opened_today, 0 as closed_today
  from (select authority, sum(no_holder) as no_holder from team_status_counts group by authority)
  union all
  select authority, 0 as no_holder,
    case when opened_at >= london_midnight(add_working_days(as_of_date() + 1, -cast(parameter('flow_workdays') as bigint)))
      then 1 else 0 end as opened,
    case when closed_at >= london_midnight(add_working_days(as_of_date() + 1, -cast(parameter('flow_workdays') as bigint)))
      then 1 else 0 end as closed,
    case when opened_at >= london_midnight(as_of_date()) then 1 else 0 end as opened_today,
    case when closed_at >= london_midnight(as_of_date()) then 1 else 0 end as closed_today
  from child_cases
)
select authority, sum(no_holder) as no_holder, sum(opened) as opened, sum(closed) as closed,
  sum(opened) / parameter('flow_workdays') as opened_per_workday,
  sum(closed) / parameter('flow_workdays') as closed_per_workday,
  sum(opened_today) as opened_today,
  sum(closed_today) as closed_today
from day
group by authority
