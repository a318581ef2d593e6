-- name: team_tree
-- row: a team and one of the teams above it, itself included, with the steps between them
-- asked_by: team managers and analysts, to see or add up the teams below one
-- why: A manager sees the teams below hers, and figures add up along the hierarchy. Eight levels at most, so that a
--   circle in the source ends.
with recursive climb as (
  select team_id, team_id as ancestor_team_id, parent_team_id as next_team_id, 0 as steps
  from teams_current
  union all
  select c.team_id, t.team_id, t.parent_team_id, c.steps + 1
  from climb c
  join teams_current t on t.team_id = c.next_team_id
  where c.steps < 8
)
select team_id, ancestor_team_id, min(steps) as steps
from climb
group by team_id, ancestor_team_id
