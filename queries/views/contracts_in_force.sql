-- name: contracts_in_force
-- row: a contract in force on as_of_date(), its last day included
-- why: Who works here today.
select contract_id, worker_id, authority, team_id, role, child_family_sw, case_holding, fte, post_id, line_manager_id,
  started_on, ended_on, directly_employed, agency
from contracts_on_dates
where measured = 'now'
