-- name: closed_assessment_unfinished
-- row: a closed case with an assessment neither authorised nor cancelled (census rule 8867)
-- why: Closed means that the assessment is complete.
select c.authority, c.case_id, a.assessment_id
from (
  select assessment_id, case_id
  from assessments
  where started_at <= as_of()
    and (authorised_at is null or authorised_at > as_of())
    and (cancelled_at is null or cancelled_at > as_of())
) a
join (select authority, case_id from cases where closed_at <= as_of()) c on c.case_id = a.case_id
