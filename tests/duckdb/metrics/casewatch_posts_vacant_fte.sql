-- What the directly employed do not fill of each post, never below 0.
with post as (
  select m.measured, p.* from posts p
  join measured_day m on p.valid_from <= m.day and (p.valid_to is null or p.valid_to >= m.day)
  qualify row_number() over (partition by m.measured, p.post_id order by p.valid_from desc) = 1
),
filled as (
  select measured, post_id, sum(fte) as fte from contract_in_force
  where employment in ('permanent', 'fixed_term') group by all
)
select p.authority, p.measured, sum(greatest(p.fte - coalesce(f.fte, 0), 0)) as value
from post p
left join filled f on f.measured = p.measured and f.post_id = p.post_id
where p.role not in ('personal_adviser', 'family_support', 'other')
group by all
