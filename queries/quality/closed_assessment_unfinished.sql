-- name: closed_assessment_unfinished
-- row: a case closed in the last 12 months with an assessment neither authorised nor cancelled (census rule 8867)
-- why: Closed means that the assessment is complete.
select c.authority, c.case_id, a.assessment_id
from (select authority, case_id from child_cases where closed_at is not null) c
join (
  select assessment_id, case_id
  from case_assessments
  where started_at <= as_of()
    and (authorised_at is null or authorised_at > as_of())
    and (cancelled_at is null or cancelled_at > as_of())
) a on a.case_id = c.case_id
