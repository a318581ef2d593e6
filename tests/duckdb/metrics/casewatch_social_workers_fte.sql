select authority, measured,
  case when employment in ('permanent', 'fixed_term') then 'directly_employed' else 'agency' end as employment,
  sum(fte) as value
from contract_in_force
where child_family_sw
group by all
