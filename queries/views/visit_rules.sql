-- name: visit_rules
-- row: a kind of visit that has a timescale: within how many days the first is due, and how far apart the next are
-- why: The timescales as data, in working or calendar days. An initial visit comes once, after the referral. Pathway
--   visits have no timescale of their own; a plan may set one for its child.
select 'initial' as kind, parameter('first_visit_workdays') as first_within, cast(null as double) as every,
  'working' as unit
union all
select 'child_protection' as kind, parameter('child_protection_visit_workdays') as first_within,
  parameter('child_protection_visit_workdays') as every, 'working' as unit
union all
select 'child_in_need' as kind, parameter('child_in_need_visit_workdays') as first_within,
  parameter('child_in_need_visit_workdays') as every, 'working' as unit
union all
select 'looked_after' as kind, parameter('looked_after_first_visit_calendardays') as first_within,
  parameter('looked_after_visit_calendardays') as every, 'calendar' as unit
union all
select 'pathway' as kind, cast(null as double) as first_within, cast(null as double) as every, 'calendar' as unit
