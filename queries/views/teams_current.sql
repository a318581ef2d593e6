-- name: teams_current
-- row: a team as it is at as_of(): its last version that had begun by then
-- why: Service, authority and parent change over time and the past keeps its own. A team that has closed stays, with
--   is_open false, as long as cases may still name it.
select team_id, authority, service, name, parent_team_id, manager_worker_id, case_holding, valid_from, valid_to,
  (valid_to is null or valid_to >= as_of_date()) as is_open
from (
  select *, row_number() over (partition by team_id order by valid_from desc) as newest
  from teams
  where valid_from <= as_of_date()
)
where newest = 1
