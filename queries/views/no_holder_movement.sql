-- name: no_holder_movement
-- row: an authority with its cases without a holder now, at the end of the last working day, five working days ago and
--   at the lowest of the last 20
-- why: A relapse shows as a rise before it shows as a number. Past days are counted at their ends, as known now; a
--   rebound is what has come back since the lowest of them, never below 0.
with days as (
  select d.authority, w.workdays_ago, count(c.case_id) as cases
  from (select distinct authority from team_labels) d
  cross join recent_workdays w
  left join no_holder_case_days c on c.authority = d.authority and c.workdays_ago = w.workdays_ago
  group by d.authority, w.workdays_ago
),
past as (
  select authority,
    max(case when workdays_ago = 1 then cases end) as workday_ago,
    max(case when workdays_ago = 5 then cases end) as five_workdays_ago,
    min(cases) as low
  from days
  group by authority
)
select p.authority, f.no_holder as now, p.workday_ago, p.five_workdays_ago, p.low,
  f.no_holder - p.workday_ago as net_flow,
  f.no_holder - p.five_workdays_ago as rise,
  f.no_holder - least(p.low, f.no_holder) as rebound
from past p
join case_flow f on f.authority = p.authority
