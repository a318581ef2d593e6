-- Leavers of the year over those in post. Contracts at most five working days apart are one spell.
with direct as (
  select authority, worker_id, started_on, coalesce(ended_on, date '2035-12-31') as last_day, ended_on, fte
  from contracts
  where employment in ('permanent', 'fixed_term') and child_family_sw and (ended_on is null or ended_on >= started_on)
),
beside as (
  select *, max(last_day) over (
    partition by authority, worker_id order by started_on, last_day rows between unbounded preceding and 1 preceding
  ) as reached
  from direct
),
numbered as (
  select *, sum(case when reached is null or working_days(least(reached, started_on), started_on) > 5 then 1 else 0 end)
    over (partition by authority, worker_id order by started_on, last_day) as spell
  from beside
),
spells as (
  select authority, worker_id, spell, max(last_day) as last_day, bool_or(ended_on is null) as goes_on,
  from numbered group by all
),
ended as (
  select s.authority, s.last_day, sum(n.fte) as fte
  from spells s
  join numbered n using (authority, worker_id, spell, last_day)
  where not s.goes_on
  group by s.authority, s.worker_id, s.spell, s.last_day
),
leavers as (
  select e.authority, m.measured, sum(e.fte) as fte
  from ended e join measured_day m on e.last_day > m.day - interval 1 year and e.last_day <= m.day
  group by all
),
in_post as (
  select authority, measured, sum(fte) as fte from contract_in_force
  where child_family_sw and employment in ('permanent', 'fixed_term')
  group by all
)
select authority, measured, coalesce(l.fte, 0) / i.fte as value
from in_post i left join leavers l using (authority, measured)
