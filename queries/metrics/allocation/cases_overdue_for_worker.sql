-- name: casewatch_cases_overdue_for_worker
-- kind: gauge
-- help: Open cases without an effective worker for longer than their kind may be: looked-after and protection,
--   leaver-held, nominally held, in working days since the last effective worker; a leaver-held case of protection
--   (leaver_held_protection) from the first day.
-- unit: cases
-- labels: authority, service, team, rule
-- value: cases
-- needs: teams, cases, allocations
-- source: DOMAIN, alerts that follow
-- publish: count
-- owner: performance team
-- max_series: 20000
with rules as (
  select column1 as rule, column2 as of_status
  from (values ('protected', 'child_protection'), ('leaver_held', null), ('leaver_held_protection', 'child_protection'),
    ('nominal', null))
),
overdue as (
  select authority, service, team_id, 'protected' as rule
  from allocation_state
  where not effective and protected and ineffective_workdays > parameter('protected_without_worker_workdays')
  union all
  select authority, service, team_id, 'leaver_held' as rule
  from allocation_state
  where state = 'leaver_held' and ineffective_workdays > parameter('leaver_held_workdays')
  union all
  select authority, service, team_id, 'leaver_held_protection' as rule
  from allocation_state
  where state = 'leaver_held' and status = 'child_protection'
  union all
  select authority, service, team_id, 'nominal' as rule
  from allocation_state
  where state = 'nominal' and ineffective_workdays > parameter('nominal_workdays')
)
select l.authority, l.service, l.team_id as team, r.rule, count(o.rule) as cases
from team_labels l
cross join rules r
left join statuses_told k on k.authority = l.authority and k.status = r.of_status
left join overdue o
  on o.authority = l.authority and o.service = l.service and o.team_id = l.team_id and o.rule = r.rule
where r.of_status is null or k.status is not null
group by l.authority, l.service, l.team_id, r.rule
