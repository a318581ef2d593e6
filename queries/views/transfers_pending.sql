-- name: transfers_pending
-- row: an open case with a transfer requested and neither accepted nor cancelled
-- why: It lengthens the grace period, and excuses nothing beyond it.
select c.case_id, min(t.requested_at) as requested_at
from open_cases c
join (
  select case_id, requested_at
  from transfers
  where requested_at <= as_of()
    and (accepted_at is null or accepted_at > as_of())
    and (cancelled_at is null or cancelled_at > as_of())
) t on t.case_id = c.case_id
group by c.case_id
