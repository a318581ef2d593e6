-- name: time_to_allocation
-- row: a child's case whose clock started in the 12 months to as_of(), and the working days to its first effective
--   primary
-- why: allocated is false where that has not happened: the wait is then counted up to the closure or as_of(), and the
--   case leaves the estimate there. Counting only the cases that were allocated would make a backlog look fast.
with primary_holding as (
  select c.case_id, c.authority, a.worker_id, london_date(a.started_at) as first_day,
    coalesce(london_date(a.ended_at), as_of_date()) as end_day
  from cases_started_in_year c
  join (
    select case_id, worker_id, started_at, case when ended_at <= as_of() then ended_at end as ended_at
    from allocations
    where role = 'primary' and holder_kind = 'worker' and worker_id is not null and started_at <= as_of()
      and (ended_at is null or ended_at > started_at)
  ) a on a.case_id = c.case_id
),
effective as (
  select p.case_id, min(greatest(p.first_day, coalesce(k.started_on, p.first_day))) as first_day
  from primary_holding p
  left join contract_feeds f on f.authority = p.authority
  left join contracts k
    on k.worker_id = p.worker_id and k.case_holding and k.started_on <= p.end_day
    and (k.ended_on is null or k.ended_on >= p.first_day)
  left join long_term_absences s
    on s.worker_id = p.worker_id and s.long_term_from <= greatest(p.first_day, coalesce(k.started_on, p.first_day))
    and (s.last_day is null or s.last_day >= greatest(p.first_day, coalesce(k.started_on, p.first_day)))
  where (f.authority is null or k.contract_id is not null) and s.worker_id is null
  group by p.case_id
)
select c.case_id, c.authority, c.clock_started_at,
  c.clock_started_at >= london_midnight(as_of_date() - 27) as is_recent,
  e.case_id is not null as allocated,
  working_days_between(c.clock_started_at,
    coalesce(e.first_day, london_date(c.closed_at), as_of_date())) as waited_workdays
from cases_started_in_year c
left join effective e on e.case_id = c.case_id
