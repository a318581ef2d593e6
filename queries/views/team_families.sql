-- name: team_families
-- row: a team, a service or an authority with its families that have an open case
-- why: A family may have cases in several teams, so families of teams do not add up: each level has its own row, 'all'
--   standing for several.
select authority, coalesce(service, 'all') as service, coalesce(team_id, 'all') as team_id,
  count(distinct family_id) as families
from case_families
group by grouping sets ((authority), (authority, service), (authority, service, team_id))
