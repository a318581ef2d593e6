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
select authority, service, team_id as team, kind, case when overdue then 'yes' else 'no' end as overdue,
  count(*) as contacts
from undecided_contacts
group by authority, service, team_id, kind, case when overdue then 'yes' else 'no' end
