-- name: case_status
-- row: an open case with its status
-- why: What case_status_found finds for as_of(), and what that status asks of the holder.
select f.case_id, f.status, s.rank, s.protected,
  s.needs_social_worker or (s.needs_social_worker_unless_agreed and not f.non_sw_lead_agreed) as needs_social_worker
from (select * from case_status_found where moment = 'now') f
join case_statuses s on s.status = f.status
