-- name: contracts_in_force
-- row: a contract in force on as_of_date(), its last day included
-- why: Who works here on a day. Directly employed is permanent and fixed-term, absent staff included; agency is
--   everyone not paid by the authority, the self-employed among them.
select contract_id, worker_id, authority, team_id, role, child_family_sw, case_holding, fte, post_id, line_manager_id,
  started_on, ended_on,
  employment in ('permanent', 'fixed_term') as directly_employed,
  employment in ('agency', 'self_employed') as agency
from contracts
where started_on <= as_of_date() and (ended_on is null or ended_on >= as_of_date())
