-- name: employment_spells
-- row: an unbroken spell of directly employed child-and-family social work in one authority
-- why: A renewed contract or a move of team is not a leaver: contracts at most 5 working days apart chain (the working
--   days from one's last day to the next one's first). A move out of child-and-family work inside the authority ends
--   the spell (DfE's leaving reason 7); agency work is never part of one. last_day is empty while the spell has no end.
with direct as (
  select authority, worker_id, contract_id, started_on, ended_on, fte, team_id, end_reason,
    coalesce(ended_on, date '2999-12-31') as reached
  from contracts
  where employment in ('permanent', 'fixed_term') and child_family_sw and (ended_on is null or ended_on >= started_on)
),
after_previous as (
  select *,
    max(reached) over (
      partition by authority, worker_id order by started_on, contract_id
      rows between unbounded preceding and 1 preceding
    ) as previously_reached
  from direct
),
numbered as (
  select *,
    sum(case
      when previously_reached is null then 1
      when working_days_between(least(previously_reached, started_on), started_on) > parameter('spell_gap_workdays')
        then 1
      else 0
    end) over (
      partition by authority, worker_id order by started_on, contract_id
      rows between unbounded preceding and current row
    ) as spell
  from after_previous
),
bounded as (
  select *,
    min(started_on) over (partition by authority, worker_id, spell) as spell_started_on,
    max(reached) over (partition by authority, worker_id, spell) as spell_reached
  from numbered
)
select authority, worker_id, spell, spell_started_on as started_on,
  case when spell_reached < date '2999-12-31' then spell_reached end as last_day,
  cast(sum(case when reached = spell_reached then fte end) as double) as last_fte,
  max(case when reached = spell_reached then team_id end) as last_team_id,
  max(case when reached = spell_reached then end_reason end) as end_reason
from bounded
group by authority, worker_id, spell, spell_started_on, spell_reached
