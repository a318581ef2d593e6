-- name: first_effective_primaries
-- row: a child's case whose clock started or that was closed in the 12 months to as_of() and that has had an effective
--   primary, with the first day of one
-- why: The event that a time to allocation ends with, and that a case closed from a backlog never saw. Effective on a
--   day: a named, known worker with a case-holding contract who is not long-term absent, and registered where the status
--   of an open case needs a social worker today (what a closed one needed is not looked for); one who comes back to a
--   case that is still hers is effective from then on. Without a contracts feed the allocation itself counts.
with primary_holding as (
  select c.case_id, c.authority, a.worker_id, coalesce(s.needs_social_worker, false) as needs_social_worker,
    london_date(a.started_at) as first_day,
    coalesce(london_date(a.ended_at), as_of_date()) as end_day
  from (
    select case_id, authority
    from child_cases
    where closed_at is not null
      or clock_started_at >= london_midnight(as_of_date() - interval '1 year' + interval '1 day')
  ) c
  join (
    select case_id, worker_id, started_at, case when ended_at <= as_of() then ended_at end as ended_at
    from primary_allocations
    where holder_kind = 'worker' and (ended_at is null or ended_at > started_at)
  ) a on a.case_id = c.case_id
  left join case_status s on s.case_id = c.case_id
),
under_contract as (
  select p.case_id, p.worker_id, greatest(p.first_day, coalesce(k.started_on, p.first_day)) as first_day,
    least(p.end_day, coalesce(k.ended_on, p.end_day)) as end_day
  from primary_holding p
  left join contract_feeds f on f.authority = p.authority
  left join workers w on w.worker_id = p.worker_id
  left join contracts k
    on k.worker_id = p.worker_id and k.case_holding and k.started_on <= p.end_day
    and (k.ended_on is null or k.ended_on >= p.first_day)
  where f.authority is null or (
      k.contract_id is not null and w.worker_id is not null and (w.swe_registered or not p.needs_social_worker)
    )
)
select u.case_id, min(coalesce(s.last_day + 1, u.first_day)) as first_day
from under_contract u
left join long_term_absences s
  on s.worker_id = u.worker_id and s.long_term_from <= u.first_day
  and (s.last_day is null or s.last_day >= u.first_day)
where s.worker_id is null or s.last_day < u.end_day
group by u.case_id
