-- name: recent_holdings
-- row: a case and the worker who was its chosen holder at the end of one of the last 10 working days, for the workers
--   who are over a threshold now
-- why: How long a worker has been over needs her cases of each day, chosen as primary_holder chooses: the active primary
--   that started last, ties by id. Only cases that touch such a worker are looked at.
with days as (
  select workdays_ago, day, ended_at from recent_workdays where workdays_ago <= 10
),
touched as (
  select a.case_id
  from (select distinct worker_id from workers_over_threshold) o
  join primary_allocations a on a.worker_id = o.worker_id
  cross join (select min(ended_at) as ended_at from recent_workdays where workdays_ago <= 10) f
  where a.ended_at is null or a.ended_at >= f.ended_at
  group by a.case_id
),
active as (
  select c.case_id, c.person_id, d.workdays_ago, d.day, a.allocation_id, a.worker_id, a.started_at
  from (
    select k.case_id, k.person_id, k.opened_at, k.closed_at
    from child_cases k
    join touched t on t.case_id = k.case_id
  ) c
  join primary_allocations a on a.case_id = c.case_id
  cross join days d
  where c.opened_at < d.ended_at and (c.closed_at is null or c.closed_at >= d.ended_at)
    and a.started_at < d.ended_at and (a.ended_at is null or a.ended_at >= d.ended_at)
)
select case_id, person_id, workdays_ago, day, worker_id
from (
  select case_id, person_id, workdays_ago, day, worker_id,
    row_number() over (partition by case_id, workdays_ago order by started_at desc, allocation_id desc) as newest
  from active
)
where newest = 1
