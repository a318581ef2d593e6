-- name: activity_after_closure
-- row: an assessment or visit that began after its case was closed (census rule 8565)
-- why: The closure was too early, or work is done on a child whom no figure counts.
with closed as (select authority, case_id, closed_at from cases where closed_at <= as_of())
select c.authority, c.case_id, 'assessment' as activity, a.assessment_id as activity_id
from closed c
join assessments a on a.case_id = c.case_id
where a.started_at > c.closed_at and a.started_at <= as_of()
union all
select c.authority, c.case_id, 'visit' as activity, v.visit_id as activity_id
from closed c
join visits v on v.case_id = c.case_id
where v.visited_at > c.closed_at and v.visited_at <= as_of()
