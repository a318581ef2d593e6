-- name: activity_after_closure
-- row: an assessment or visit of the last 12 months that began on a day after its case was closed (census rule 8565)
-- why: The closure was too early, or work is done on a child whom no figure counts. By days, since sources may give a
--   date alone: what was done on the day of the closure was done before it.
with activity as (
  select case_id, 'assessment' as activity, assessment_id as activity_id, london_date(started_at) as began_on
  from assessments
  where started_at <= as_of() and started_at >= london_midnight(as_of_date() - interval '1 year' + interval '1 day')
  union all
  select case_id, 'visit' as activity, visit_id as activity_id, london_date(visited_at) as began_on
  from visits
  where visited_at <= as_of() and visited_at >= london_midnight(as_of_date() - interval '1 year' + interval '1 day')
)
select c.authority, c.case_id, a.activity, a.activity_id
from (
  select authority, case_id, london_date(closed_at) as closed_on
  from cases
  where closed_at <= as_of() and closed_at >= london_midnight(as_of_date() - interval '1 year' + interval '1 day')
) c
join activity a on a.case_id = c.case_id
where a.began_on > c.closed_on
