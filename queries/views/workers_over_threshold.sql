-- name: workers_over_threshold
-- row: a worker and a caseload threshold that she is over at as_of()
-- why: Who is over, for people who may know it; metrics only count the rows.
select t.threshold, t.per_fte, t.newly_qualified_only, c.worker_id, c.authority, c.service, c.team_id, c.cases, c.fte,
  c.cases_per_fte
from worker_caseload c
cross join caseload_thresholds t
where c.cases_per_fte > t.per_fte and c.cases >= t.at_least_cases
  and (c.newly_qualified or not t.newly_qualified_only)
