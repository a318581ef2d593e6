-- name: former_authorities
-- row: an authority that had teams and has none at as_of()
-- why: An authority that was split or merged into others: what it knew of a child its successors know, whichever of its
--   teams went where.
select f.authority
from (select distinct authority from teams where valid_from <= as_of_date()) f
left join (select distinct authority from teams_current where is_open) o on o.authority = f.authority
where o.authority is null
