-- name: transfers_pending
-- row: an open case with a transfer requested and neither accepted nor cancelled
-- why: It lengthens the grace period, and excuses nothing beyond it.
select c.case_id, min(t.requested_at) as requested_at
from open_cases c
join transfers t on t.case_id = c.case_id
where t.requested_at <= as_of()
  and (t.accepted_at is null or t.accepted_at > as_of())
  and (t.cancelled_at is null or t.cancelled_at > as_of())
group by c.case_id
