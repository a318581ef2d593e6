-- name: starters_in_year
-- row: a spell of employment that began in the year to a date that the workforce is measured at
-- why: Whether those who leave are replaced, and by whom. FTE is that of the contracts on the first day; from_agency is
--   a conversion: the same person (by registration, else by worker) did agency work that ended at most
--   conversion_gap_workdays working days before, or went on.
with begun as (
  select d.measured, s.authority, s.worker_id, s.started_on, s.last_day
  from workforce_dates d
  cross join employment_spells s
  where s.started_on > d.measured_on - interval '1 year' and s.started_on <= d.measured_on
),
first_contracts as (
  select authority, worker_id, started_on, sum(cast(fte as double)) as fte, max(team_id) as team_id
  from contracts
  where employment in ('permanent', 'fixed_term') and child_family_sw
  group by authority, worker_id, started_on
),
people as (
  select worker_id, coalesce(swe_ref, worker_id) as person from workers
),
agency as (
  select k.authority, coalesce(p.person, k.worker_id) as person, k.started_on,
    add_working_days(coalesce(k.ended_on, date '2099-12-31'), cast(parameter('conversion_gap_workdays') as bigint) + 1)
      as apart_from
  from contracts k
  left join people p on p.worker_id = k.worker_id
  where k.employment in ('agency', 'self_employed') and k.child_family_sw
),
converted as (
  select b.measured, b.authority, b.worker_id, b.started_on
  from begun b
  left join people p on p.worker_id = b.worker_id
  join agency a on a.authority = b.authority and a.person = coalesce(p.person, b.worker_id)
  where a.started_on < b.started_on and a.apart_from > b.started_on
  group by b.measured, b.authority, b.worker_id, b.started_on
)
select b.measured, b.authority, b.worker_id, b.started_on, f.fte, f.team_id, c.worker_id is not null as from_agency
from begun b
left join first_contracts f
  on f.authority = b.authority and f.worker_id = b.worker_id and f.started_on = b.started_on
left join converted c
  on c.measured = b.measured and c.authority = b.authority and c.worker_id = b.worker_id
  and c.started_on = b.started_on
