select authority, measured,
  sum(fte) filter (where employment in ('agency', 'self_employed')) / sum(fte) as value
from contract_in_force
where child_family_sw
group by all
