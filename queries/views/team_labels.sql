-- name: team_labels
-- row: a team that figures are given for: open at as_of(), or named by an open case
-- why: Explicit zeros: a team without a case of some kind shows 0, not nothing.
select authority, service, team_id from teams_current where is_open
union
select authority, service, team_id from open_cases
