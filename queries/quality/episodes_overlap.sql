-- name: episodes_overlap
-- row: a case opened in the last 12 months while an earlier one of the same child was open (census rule 8820)
-- why: Episodes of one child follow one another; overlapping ones count the child twice in the past.
select l.authority, l.case_id, e.case_id as earlier_case_id
from (
  select authority, case_id, child_id, opened_at
  from cases
  where subject = 'child' and opened_at <= as_of() and opened_at >= london_midnight(as_of_date() - interval '1 year' + interval '1 day')
) l
join (
  select case_id, child_id, opened_at, closed_at
  from cases
  where (closed_at is null or closed_at > london_midnight(as_of_date() - interval '1 year' + interval '1 day'))
    and opened_at <= as_of() and subject = 'child'
) e on e.child_id = l.child_id
where e.opened_at < l.opened_at and (e.closed_at is null or l.opened_at < e.closed_at)
