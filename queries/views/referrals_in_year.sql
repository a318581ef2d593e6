-- name: referrals_in_year
-- row: a referral (contacts never count) received in the 12 months to as_of()
-- why: A decision counts from the moment it was taken, or from when it is known where the source keeps no time of it
--   (is_timed is false); until then the referral is undecided, and is shown beside the rates rather than in them. A
--   decision is in time within one working day. Recent is received in the last 28 days.
select r.referral_id, r.child_id, coalesce(t.authority, r.authority) as authority,
  coalesce(t.service, 'unknown') as service, r.team_id, r.received_at,
  r.received_at >= london_midnight(as_of_date() - 27) as is_recent,
  case when r.decided_at <= as_of() then r.decided_at end as decided_at,
  case when r.decided_at is null or r.decided_at <= as_of() then r.decision end as decision,
  coalesce(r.decided_at <= as_of(), r.decision is not null) as is_decided,
  coalesce(r.decided_at <= as_of(), false) as is_timed,
  coalesce(r.decided_at <= as_of()
    and working_days_between(r.received_at, r.decided_at) <= parameter('referral_decision_workdays'), false)
    as is_decided_in_time
from teams_current t
right join (
  select referral_id, child_id, authority, team_id, received_at, decided_at, decision
  from referrals
  where kind = 'referral' and received_at <= as_of()
    and received_at >= london_midnight(as_of_date() - interval '1 year' + interval '1 day')
) r on t.team_id = r.team_id
