-- name: merge_without_end
-- row: a merged child's record whose chain of merges is circular or longer than is followed
-- why: The record stands for no living one, and one child may count twice.
select c.authority, m.child_id, m.person_id
from merged_children m
join children c on c.child_id = m.child_id
join (select child_id from children where merged_into is not null) n on n.child_id = m.person_id
