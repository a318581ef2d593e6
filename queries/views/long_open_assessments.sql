-- name: long_open_assessments
-- row: a child-and-family assessment that has been open for longer than long_open_assessment_workdays since its
--   referral, or since its start where the child is assessed again in the same case
-- why: Late is past 45 working days; these have been forgotten.
select assessment_id, case_id, authority, service, team_id, workdays_from_referral, workdays_from_start
from assessment_times
where is_open and workdays_from_referral > parameter('long_open_assessment_workdays')
