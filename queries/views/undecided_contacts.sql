-- name: undecided_contacts
-- row: a contact or referral of the last 12 months without a decision at as_of()
-- why: Nobody has said yet whether a child is at risk. overdue says that the working day for it has passed.
select r.referral_id, r.kind, coalesce(t.authority, r.authority) as authority, coalesce(t.service, 'unknown') as service,
  r.team_id, r.received_at,
  working_days_between(r.received_at, as_of()) as waited_workdays,
  working_days_between(r.received_at, as_of()) > parameter('referral_decision_workdays') as overdue
from teams_current t
right join (
  select referral_id, kind, authority, team_id, received_at
  from referrals
  where received_at <= as_of()
    and received_at >= london_midnight(as_of_date() - interval '1 year' + interval '1 day')
    and (decided_at > as_of() or (decided_at is null and decision is null))
) r on t.team_id = r.team_id
