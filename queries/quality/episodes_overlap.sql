-- name: episodes_overlap
-- row: a case opened in the last 12 months while an earlier one of the same child was open (census rule 8820)
-- why: Episodes of one child, merges followed, are one after another; overlapping ones count the child twice in the past.
with episode as (
  select k.authority, k.case_id, coalesce(m.person_id, k.child_id) as person_id, k.opened_at, k.closed_at
  from merged_children m
  right join (
    select authority, case_id, child_id, opened_at, closed_at
    from cases
    where (closed_at is null or closed_at > london_midnight(as_of_date() - interval '1 year' + interval '1 day'))
      and opened_at <= as_of() and subject = 'child'
  ) k on m.child_id = k.child_id
)
select l.authority, l.case_id, e.case_id as earlier_case_id
from (
  select * from episode where opened_at >= london_midnight(as_of_date() - interval '1 year' + interval '1 day')
) l
join episode e on e.person_id = l.person_id
where e.opened_at < l.opened_at and (e.closed_at is null or l.opened_at < e.closed_at)
