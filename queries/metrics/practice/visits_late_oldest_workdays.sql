-- name: casewatch_visits_late_oldest_workdays
-- kind: gauge
-- help: Longest time by which a visit is late, in working days since its due day, by kind; 0 where none is.
-- unit: workdays
-- labels: authority, service, team, kind
-- value: late
-- needs: teams, cases, plans, visits
-- source: DOMAIN, timescales
-- publish: over visits
-- owner: practice lead
-- max_series: 50000
select l.authority, l.service, l.team_id as team, k.kind, coalesce(max(o.late_workdays), 0) as late,
  count(o.late_workdays) as visits
from team_labels l
cross join (select kind from visit_rules) k
left join (select authority from statuses_told where status = 'awaiting_assessment') r on r.authority = l.authority
left join (select * from visits_owed where late) o
  on o.authority = l.authority and o.service = l.service and o.team_id = l.team_id and o.kind = k.kind
where k.kind <> 'initial' or r.authority is not null
group by l.authority, l.service, l.team_id, k.kind
