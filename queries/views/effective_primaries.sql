-- name: effective_primaries
-- row: a primary allocation, ended or not, that was effective for at least one working day, of a case that has no
--   effective worker now
-- why: Only these end a wait. The days counted are those of the allocation on which the worker had a case-holding
--   contract and was not long-term absent. Whether a social worker was needed is judged by the case's status today,
--   which can only lengthen a wait. Without a contracts feed the allocation's own days count. ended_at is when the
--   allocation ended, effective_until the day from which it was effective no more: the leaver's name may stay on.
with held as (
  select c.case_id, c.authority, s.needs_social_worker, a.allocation_id, a.worker_id, a.ended_at,
    london_date(a.started_at) as first_day, coalesce(london_date(a.ended_at), as_of_date()) as end_day
  from (
    select o.case_id, o.authority
    from open_cases o
    left join holder_state h on h.case_id = o.case_id
    where h.case_id is null or h.state <> 'allocated'
  ) c
  join case_status s on s.case_id = c.case_id
  join (
    select case_id, allocation_id, worker_id, started_at, case when ended_at <= as_of() then ended_at end as ended_at
    from primary_allocations
    where holder_kind = 'worker' and (ended_at is null or ended_at > started_at)
  ) a on a.case_id = c.case_id
),
under_contract as (
  select e.case_id, e.allocation_id, e.worker_id, e.ended_at, k.contract_id,
    greatest(e.first_day, coalesce(k.started_on, e.first_day)) as first_day,
    least(e.end_day, coalesce(k.ended_on + 1, e.end_day)) as end_day
  from held e
  left join contract_feeds f on f.authority = e.authority
  left join workers w on w.worker_id = e.worker_id
  left join contracts k on k.worker_id = e.worker_id and k.case_holding
  where f.authority is null
    or (k.contract_id is not null and w.worker_id is not null and (w.swe_registered or not e.needs_social_worker))
),
away as (
  select u.case_id, u.allocation_id, u.worker_id, u.ended_at, u.contract_id, u.first_day, u.end_day,
    s.worker_id is not null as away,
    least(greatest(u.first_day, s.long_term_from), u.end_day) as away_from,
    least(u.end_day, coalesce(s.last_day + 1, u.end_day)) as away_to
  from under_contract u
  left join long_term_absences s on s.worker_id = u.worker_id
  where u.first_day <= u.end_day
),
present as (
  select case_id, allocation_id, worker_id, ended_at, contract_id,
    max(working_days_between(first_day, end_day))
      - coalesce(sum(case when away then working_days_between(away_from, greatest(away_from, away_to)) end), 0)
      as workdays,
    min(case when away and away_to >= end_day then away_from else end_day end) as effective_until
  from away
  group by case_id, allocation_id, worker_id, ended_at, contract_id
)
select case_id, allocation_id, worker_id, ended_at,
  max(workdays) as effective_workdays, max(effective_until) as effective_until
from present
where workdays >= parameter('effective_holding_workdays')
group by case_id, allocation_id, worker_id, ended_at
