-- name: contracts_on_dates
-- row: a contract in force on a date that the workforce is measured at, its last day included
-- why: Who works here on a day. Directly employed is permanent and fixed-term, absent staff included; agency is
--   everyone not paid by the authority, the self-employed among them.
select d.measured, k.contract_id, k.worker_id, k.authority, k.team_id, k.role, k.child_family_sw, k.case_holding, k.fte,
  k.post_id, k.line_manager_id, k.started_on, k.ended_on,
  k.employment in ('permanent', 'fixed_term') as directly_employed,
  k.employment in ('agency', 'self_employed') as agency
from workforce_dates d
cross join contracts k
where k.started_on <= d.measured_on and (k.ended_on is null or k.ended_on >= d.measured_on)
