-- name: casewatch_cases_newly_no_effective_worker
-- kind: gauge
-- help: Open cases that have had no effective worker only since the end of the last working day before the day itself.
-- unit: cases
-- labels: authority, service, team, status
-- value: cases
-- needs: teams, cases, allocations
-- source: DOMAIN, first thing in the morning
-- publish: count
-- owner: performance team
-- max_series: 50000
select l.authority, l.service, l.team_id as team, s.status, count(a.case_id) as cases
from team_labels l
cross join case_statuses s
left join statuses_told k on k.authority = l.authority and k.status = s.status
left join (
  select a.authority, a.service, a.team_id, a.status, a.case_id
  from (select * from allocation_state where not effective) a
  cross join (select ended_at from recent_workdays where workdays_ago = 1) d
  where a.ineffective_since >= d.ended_at
) a on a.authority = l.authority and a.service = l.service and a.team_id = l.team_id and a.status = s.status
group by l.authority, l.service, l.team_id, s.status
having count(a.case_id) > 0 or count(k.status) > 0
