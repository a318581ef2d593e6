-- name: team_moves_in_year
-- row: a social worker who moved to another team of the same authority in the year to a date that the workforce is
--   measured at, agency staff included
-- why: A move is not a leaver, and for the children it is one: they get a new worker. A contract in another team follows
--   one that ended at most spell_gap_workdays working days before; a contract beside another is no move.
with social_work as (
  select authority, worker_id, contract_id, team_id, started_on, ended_on,
    add_working_days(ended_on, cast(parameter('spell_gap_workdays') as bigint) + 1) as apart_from
  from contracts
  where child_family_sw
)
select d.measured, c.authority, c.worker_id, c.started_on as moved_on, min(p.team_id) as from_team_id,
  c.team_id as to_team_id
from workforce_dates d
cross join social_work c
join social_work p on p.authority = c.authority and p.worker_id = c.worker_id
where c.started_on > d.measured_on - interval '1 year' and c.started_on <= d.measured_on
  and p.team_id <> c.team_id and p.started_on < c.started_on and p.ended_on < c.started_on and p.apart_from > c.started_on
group by d.measured, c.authority, c.worker_id, c.started_on, c.team_id
