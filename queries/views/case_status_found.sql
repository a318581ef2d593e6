-- name: case_status_found
-- row: a case with its status, at as_of() (moment 'now') or at the end of a day (moment 'day_end')
-- why: The first that applies of looked_after, child_protection, child_in_need, assessment (one is under way),
--   awaiting_assessment (decided for assessment or section 47 and none started), care_leaver, open_no_plan.
select moment, case_id, day, non_sw_lead_agreed,
  case
    when looked_after then 'looked_after'
    when child_protection then 'child_protection'
    when child_in_need then 'child_in_need'
    when under_way then 'assessment'
    when not assessed and decision in ('assessment', 'section_47') then 'awaiting_assessment'
    when pathway then 'care_leaver'
    else 'open_no_plan'
  end as status
from status_facts
