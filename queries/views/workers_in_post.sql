-- name: workers_in_post
-- row: a worker with a contract in force on as_of_date()
-- why: One row a person however many contracts she has: the FTE that carries cases (of case-holding contracts; empty
--   when none is recorded), the team of the largest of them, the newly qualified year, long-term absence, and the last
--   day here if every contract from now on has one.
with contract as (
  select *,
    row_number() over (
      partition by worker_id order by case_holding desc, fte desc nulls last, contract_id
    ) as largest
  from contracts_in_force
),
person as (
  select worker_id,
    max(case when largest = 1 then authority end) as authority,
    max(case when largest = 1 then team_id end) as team_id,
    bool_or(case_holding) as case_holding,
    bool_or(case_holding and child_family_sw) as case_holding_social_worker,
    bool_or(child_family_sw) as child_family_sw,
    bool_or(agency) as agency,
    sum(case when case_holding then fte end) as case_holding_fte
  from contract
  group by worker_id
),
leaving as (
  select worker_id, case when count(*) = count(ended_on) then max(ended_on) end as leaves_on
  from contracts
  where ended_on is null or ended_on >= as_of_date()
  group by worker_id
),
absent as (
  select worker_id
  from long_term_absences
  where long_term_from <= as_of_date() and (last_day is null or last_day >= as_of_date())
  group by worker_id
)
select p.worker_id, p.authority, p.team_id, p.case_holding, p.case_holding_social_worker, p.child_family_sw, p.agency,
  cast(p.case_holding_fte as double) as case_holding_fte,
  w.worker_id is not null as known,
  coalesce(w.swe_registered, false) as swe_registered,
  n.worker_id is not null as newly_qualified,
  a.worker_id is not null as long_term_absent,
  l.leaves_on
from person p
left join workers w on w.worker_id = p.worker_id
left join (
  select worker_id
  from newly_qualified_years
  where first_day <= as_of_date() and (last_day is null or last_day >= as_of_date())
) n on n.worker_id = p.worker_id
left join leaving l on l.worker_id = p.worker_id
left join absent a on a.worker_id = p.worker_id
