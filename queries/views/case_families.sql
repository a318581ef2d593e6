-- name: case_families
-- row: an open case with the family of its child
-- why: Siblings are cases of their own and one family: the household, or the child alone where none is recorded.
select c.case_id, c.person_id, c.authority, c.service, c.team_id, coalesce(h.household_id, c.person_id) as family_id
from open_cases c
left join (select child_id, household_id from children where household_id is not null) h on h.child_id = c.person_id
