-- name: worker_caseload
-- row: a worker who may hold cases (a case-holding contract in force) or who is the chosen holder of some
-- why: A caseload is the distinct children whose chosen holder is this worker; siblings count one by one, beside the
--   number of families. Per FTE divides by the FTE of the case-holding contracts in force: no FTE or 0, no ratio.
--   weighted is the share of a full caseload, lighter in the newly qualified year. dfe_scope: a social worker for DfE.
with held as (
  select worker_id, count(distinct person_id) as cases, min(authority) as authority, min(team_id) as team_id
  from allocation_state
  where worker_id is not null
  group by worker_id
),
families_held as (
  -- Counted apart: a query with one distinct count is an aggregation twice over; with two, each worker has sets of its own.
  select s.worker_id, count(distinct f.family_id) as families
  from allocation_state s
  join case_families f on f.case_id = s.case_id
  where s.worker_id is not null
  group by s.worker_id
),
secondary as (
  select worker_id, count(distinct person_id) as secondary_cases
  from active_secondaries
  group by worker_id
),
worker as (
  select coalesce(p.worker_id, h.worker_id) as worker_id,
    coalesce(p.authority, h.authority) as authority,
    coalesce(p.team_id, h.team_id) as team_id,
    coalesce(p.case_holding, false) as case_holding,
    coalesce(p.case_holding_social_worker, false) as dfe_scope,
    coalesce(p.newly_qualified, false) as newly_qualified,
    coalesce(p.agency, false) as agency,
    coalesce(p.long_term_absent, false) as long_term_absent,
    p.case_holding_fte as fte,
    coalesce(h.cases, 0) as cases,
    coalesce(f.families, 0) as families
  from (select * from workers_in_post where case_holding) p
  full join held h on h.worker_id = p.worker_id
  left join families_held f on f.worker_id = h.worker_id
)
select w.worker_id, coalesce(t.authority, w.authority) as authority, coalesce(t.service, 'unknown') as service, w.team_id,
  w.case_holding, w.dfe_scope, w.newly_qualified, w.agency, w.long_term_absent,
  w.cases, w.families, coalesce(s.secondary_cases, 0) as secondary_cases, w.fte,
  case when w.fte > 0 then w.cases / w.fte end as cases_per_fte,
  case when w.fte > 0 then
    w.cases / (w.fte * parameter('caseload_norm_cases')
      * case when w.newly_qualified then parameter('newly_qualified_weight') else 1 end)
  end as weighted
from worker w
left join secondary s on s.worker_id = w.worker_id
left join teams_current t on t.team_id = w.team_id
