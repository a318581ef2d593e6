-- name: manager_spans
-- row: a line manager of someone with a contract in force, and how many people that is
-- why: Nobody supervises twelve people well. Distinct reports, agency staff included, whatever their role; a manager who
--   manages herself has one fewer. Service and team are the manager's, unknown where no contract of hers is in force.
select r.authority, coalesce(t.service, 'unknown') as service, coalesce(m.team_id, 'unknown') as team_id,
  r.manager_id, m.worker_id is not null as in_post, r.reports,
  r.reports > parameter('employees_per_manager') as over_span
from (
  select authority, line_manager_id as manager_id, count(distinct worker_id) as reports
  from contracts_in_force
  where line_manager_id is not null and line_manager_id <> worker_id
  group by authority, line_manager_id
) r
left join workers_in_post m on m.worker_id = r.manager_id
left join teams_current t on t.team_id = m.team_id
