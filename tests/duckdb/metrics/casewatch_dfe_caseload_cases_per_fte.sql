-- Children held by social workers, agency included, over the full-time equivalents of those who hold any.
with held as (
  select h.worker_id, count(distinct c.person_id) as cases
  from holder h join open_case c using (case_id)
  where h.worker_id is not null
  group by all
),
worker as (
  select authority, worker_id, sum(fte) as fte
  from contract_in_force
  where measured = 'now' and case_holding
  group by all
  having bool_or(child_family_sw)
)
select authority, sum(cases) / sum(fte) as value
from worker join held using (worker_id)
where fte > 0
group by all
