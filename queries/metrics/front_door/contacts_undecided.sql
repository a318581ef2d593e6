-- name: casewatch_contacts_undecided
-- kind: gauge
-- help: Contacts and referrals without a decision, by kind and whether the working day for it has passed (yes, no).
-- unit: contacts
-- labels: authority, service, team, kind, overdue
-- value: contacts
-- needs: teams, referrals
-- source: DOMAIN, first thing in the morning: contacts awaiting a decision
-- publish: count
-- owner: front door manager
-- max_series: 20000
select authority, service, team, kind, overdue, sum(contacts) as contacts
from (
  select authority, service, team_id as team, kind, case when overdue then 'yes' else 'no' end as overdue, 1 as contacts
  from undecided_contacts
  union all
  -- Explicit zeros: a team where nothing waits shows 0, not nothing.
  select t.authority, t.service, t.team_id, k.column1, o.column1, 0
  from teams_current t
  cross join (values ('contact'), ('referral')) k
  cross join (values ('no'), ('yes')) o
  where t.is_open
)
group by authority, service, team, kind, overdue
