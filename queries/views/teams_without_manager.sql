-- name: teams_without_manager
-- row: an open team without a manager in post
-- why: Nobody allocates, supervises or notices. None is named, or the named one has no contract in force or is
--   long-term absent. Without a contracts feed only the name is checked.
select t.authority, t.service, t.team_id, t.manager_worker_id
from (select * from teams_current where is_open) t
left join contract_feeds f on f.authority = t.authority
left join (select worker_id from workers_in_post where not long_term_absent) m on m.worker_id = t.manager_worker_id
where t.manager_worker_id is null or (f.authority is not null and m.worker_id is null)
