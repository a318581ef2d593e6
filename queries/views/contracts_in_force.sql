-- name: contracts_in_force
-- row: a contract in force on as_of_date(), its last day included
-- why: Who works here today. The authority is that of the team at as_of(): a contract goes with its team where an
--   authority is split.
select k.contract_id, k.worker_id, coalesce(t.authority, k.authority) as authority, k.team_id, k.role, k.child_family_sw,
  k.case_holding, k.fte, k.post_id, k.line_manager_id, k.started_on, k.ended_on, k.directly_employed, k.agency
from teams_current t
right join (select * from contracts_on_dates where measured = 'now') k on t.team_id = k.team_id
