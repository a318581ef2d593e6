-- name: merged_children
-- row: a child's record that was merged into another, with the record it ended up in
-- why: A merge is followed wherever children are counted; a child without a row here stands for itself. Chains are
--   followed five merges deep; longer ones, and circles, are listed by quality.merge_without_end.
with merged as (select child_id, merged_into from children where merged_into is not null)
select
  m1.child_id,
  coalesce(m5.merged_into, m4.merged_into, m3.merged_into, m2.merged_into, m1.merged_into) as person_id
from merged m1
left join merged m2 on m2.child_id = m1.merged_into
left join merged m3 on m3.child_id = m2.merged_into
left join merged m4 on m4.child_id = m3.merged_into
left join merged m5 on m5.child_id = m4.merged_into
