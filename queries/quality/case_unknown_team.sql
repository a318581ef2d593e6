-- name: case_unknown_team
-- row: an open case whose responsible team is not in the list of teams
-- why: Its service is unknown, so the case is missing from every figure by service.
select c.authority, c.case_id, c.team_id
from open_cases c
left join teams_current t on t.team_id = c.team_id
where t.team_id is null
