select c.authority, c.service, c.team, count(*) as value
from allocations a
join open_case c using (case_id)
where a.role = 'secondary' and a.worker_id is not null and a.started_at <= as_of()
  and (a.ended_at is null or a.ended_at > as_of())
group by all
