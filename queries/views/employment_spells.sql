-- name: employment_spells
-- row: an unbroken spell of directly employed child-and-family social work in one authority
-- why: A renewed contract or a move of team is not a leaver: contracts at most 5 working days apart chain (the working
--   days from one's last day to the next one's first). A move out of child-and-family work inside the authority ends
--   the spell (DfE's leaving reason 7); agency work is never part of one. last_day is empty while the spell has no end.
with direct as (
  select authority, worker_id, contract_id, started_on, fte, team_id, end_reason,
    coalesce(ended_on, date '2099-12-31') as reached,
    add_working_days(coalesce(ended_on, date '2099-12-31'), cast(parameter('spell_gap_workdays') as bigint) + 1)
      as apart_from
  from contracts
  where employment in ('permanent', 'fixed_term') and child_family_sw and (ended_on is null or ended_on >= started_on)
),
first_of_spell as (
  select c.authority, c.worker_id, c.started_on
  from direct c
  left join direct p
    on p.authority = c.authority and p.worker_id = c.worker_id and p.apart_from > c.started_on
    and (p.started_on < c.started_on or (p.started_on = c.started_on and p.contract_id < c.contract_id))
  where p.worker_id is null
),
in_spell as (
  select c.authority, c.worker_id, c.contract_id, c.reached, c.fte, c.team_id, c.end_reason,
    max(f.started_on) as spell_started_on
  from direct c
  join first_of_spell f on f.authority = c.authority and f.worker_id = c.worker_id and f.started_on <= c.started_on
  group by c.authority, c.worker_id, c.contract_id, c.reached, c.fte, c.team_id, c.end_reason
),
last_contracts as (
  select authority, worker_id, spell_started_on, reached, sum(fte) as fte, max(team_id) as team_id,
    max(end_reason) as end_reason
  from in_spell
  group by authority, worker_id, spell_started_on, reached
),
spells as (
  select authority, worker_id, spell_started_on, max(reached) as reached
  from in_spell
  group by authority, worker_id, spell_started_on
)
select s.authority, s.worker_id, s.spell_started_on as started_on,
  case when s.reached < date '2099-12-31' then s.reached end as last_day,
  cast(l.fte as double) as last_fte, l.team_id as last_team_id, l.end_reason
from spells s
join last_contracts l
  on l.authority = s.authority and l.worker_id = s.worker_id and l.spell_started_on = s.spell_started_on
  and l.reached = s.reached
