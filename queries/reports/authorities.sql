-- name: authorities
-- row: an authority, what it is called, and the region that the monthly report compares it with
-- why: the report names both, and the data know an authority by its code alone
select new_la_code as authority, max(la_name) as name, max(region_name) as region
from reference.dfe_workforce_local_authority_2017_2022
group by new_la_code
