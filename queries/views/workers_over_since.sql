-- name: workers_over_since
-- row: a worker and a caseload threshold that she is over at as_of(), with for how many working days in a row, 10 at most
-- why: One heavy day is a handover, ten are a way of working. The day of as_of() counts if it is a working day; a day
--   before counts if she was over at its end, by the cases, contracts and newly qualified year of that day, as known
--   now.
with held as (
  select worker_id, workdays_ago, day, count(distinct person_id) as cases
  from recent_holdings
  where worker_id is not null
  group by worker_id, workdays_ago, day
),
employed as (
  select h.worker_id, h.workdays_ago, h.day, h.cases, sum(cast(k.fte as double)) as fte
  from held h
  join (select worker_id, started_on, ended_on, fte from contracts where case_holding) k on k.worker_id = h.worker_id
  where k.started_on <= h.day and (k.ended_on is null or k.ended_on >= h.day)
  group by h.worker_id, h.workdays_ago, h.day, h.cases
),
past as (
  select e.worker_id, e.workdays_ago, e.cases, e.cases / e.fte as cases_per_fte,
    coalesce(n.first_day <= e.day and (n.last_day is null or n.last_day >= e.day), false) as newly_qualified
  from employed e
  left join newly_qualified_years n on n.worker_id = e.worker_id
  where e.fte > 0
),
not_over as (
  select o.worker_id, o.threshold, min(d.workdays_ago) as workdays_ago
  from workers_over_threshold o
  cross join (select workdays_ago from recent_workdays where workdays_ago <= 10) d
  join caseload_thresholds t on t.threshold = o.threshold
  left join past p
    on p.worker_id = o.worker_id and p.workdays_ago = d.workdays_ago and p.cases_per_fte > t.per_fte
    and p.cases >= t.at_least_cases and (p.newly_qualified or not t.newly_qualified_only)
  where p.worker_id is null
  group by o.worker_id, o.threshold
)
select o.threshold, o.worker_id, o.authority, o.service, o.team_id, o.cases, o.fte, o.cases_per_fte,
  least(coalesce(n.workdays_ago - 1, 10) + working_days_between(as_of_date() - 1, as_of_date()), 10) as workdays_over
from workers_over_threshold o
left join not_over n on n.worker_id = o.worker_id and n.threshold = o.threshold
