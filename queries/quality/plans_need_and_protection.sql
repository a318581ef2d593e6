-- name: plans_need_and_protection
-- row: an open case with a child-in-need plan and a protection plan at once (census rule 4001)
-- why: Protection replaces need; both together mean that one was not ended.
select c.authority, c.case_id, c.team_id
from (
  select case_id
  from plans_in_force
  group by case_id
  having bool_or(kind = 'child_in_need') and bool_or(kind = 'child_protection')
) p
join open_cases c on c.case_id = p.case_id
