-- name: episodes_overlap
-- row: a case of a child opened while an earlier one, closed since, was still open (census rule 8820)
-- why: Episodes of one child follow one another; overlapping ones count the child twice in the past.
select authority, case_id, child_id
from (
  select authority, case_id, child_id, opened_at,
    max(coalesce(closed_at, as_of())) over (
      partition by child_id order by opened_at, case_id rows between unbounded preceding and 1 preceding
    ) as earlier_until
  from cases
  where subject = 'child' and opened_at <= as_of()
)
where opened_at < earlier_until
