-- name: visit_counts
-- row: a team and a kind of visit, with the visits owed, falling due and late now and those done in the last 28 days
-- why: One count for every metric of visits, with a 0 for every team that has none. What a team that has
--   since closed did stays counted. First visits are owed after a referral: no 0 of them without referrals.
with owed as (
  select authority, service, team_id, kind, count(*) as owed,
    sum(case when falls_due then 1 else 0 end) as falls_due, sum(case when late then 1 else 0 end) as late
  from visits_owed
  group by authority, service, team_id, kind
),
done as (
  select authority, service, team_id, kind, count(*) as done, sum(case when late then 1 else 0 end) as done_late
  from visits_done
  group by authority, service, team_id, kind
)
select l.authority, l.service, l.team_id, k.kind,
  coalesce(o.owed, 0) as owed, coalesce(o.falls_due, 0) as falls_due, coalesce(o.late, 0) as late,
  coalesce(d.done, 0) as done, coalesce(d.done_late, 0) as done_late
from (
  select authority, service, team_id from team_labels
  union
  select authority, service, team_id from visits_done
) l
cross join (select kind from visit_rules) k
left join (select authority from statuses_told where status = 'awaiting_assessment') r on r.authority = l.authority
left join owed o on o.authority = l.authority and o.service = l.service and o.team_id = l.team_id and o.kind = k.kind
left join done d on d.authority = l.authority and d.service = l.service and d.team_id = l.team_id and d.kind = k.kind
where k.kind <> 'initial' or r.authority is not null
