-- name: visit_times
-- row: an interval between visits to a child (visit_clocks) with the day by which the visit that ends it is due
-- why: A visit on the due day is in time. The first is due within first_within of the day the duty began, the next
--   within every of the one before; a child who moves is owed a first visit again. A plan's own interval wins. The
--   regulations' weekly regimes hold until the first review: then every 4 or 6 weeks.
with ruled as (
  select c.*,
    coalesce(c.visited_before_on < c.from_day, true) as is_first,
    case when c.visited_before_on >= c.from_day then c.visited_before_on else c.from_day end as counted_from,
    coalesce(case when c.visit_every is not null then c.visit_unit end, r.unit) as unit,
    cast(coalesce(
      c.visit_every,
      case when coalesce(c.visited_before_on < c.from_day, true) then r.first_within end,
      case
        when c.visit_regime in ('weekly_then_4w', 'weekly_then_6w')
          and (c.first_review_on is null or c.visited_before_on < c.first_review_on)
          then parameter('looked_after_weekly_visit_calendardays')
        when c.visit_regime = 'weekly_then_4w' then parameter('looked_after_4_weekly_visit_calendardays')
      end,
      r.every) as int) as within
  from visit_clocks c
  join visit_rules r on r.kind = c.kind
),
due as (
  select *,
    case when unit = 'working' then add_working_days(counted_from, within) else counted_from + within end as due_on
  from ruled
  where within is not null and counted_from is not null
)
select visit_id, case_id, authority, service, team_id, kind, is_first, counted_from, due_on, visited_on, seen,
  coalesce(visited_on, as_of_date()) > due_on as late,
  working_days_between(due_on, coalesce(visited_on, as_of_date())) as late_workdays
from due
