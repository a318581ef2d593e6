-- name: worker_team_labels
-- row: a team that figures on workers are given for: any that figures are given for, or that a worker belongs to
-- why: Explicit zeros, as in team_labels, also for a team of workers that has no case.
select authority, service, team_id from team_labels
union
select authority, service, team_id from worker_caseload
