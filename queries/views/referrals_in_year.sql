-- name: referrals_in_year
-- row: a referral (contacts never count) received in the 12 months to as_of()
-- why: A decision counts from the moment it was taken; until then the referral is undecided, and is shown beside the
--   rates rather than in them. A decision is in time within one working day.
with window_start as (
  select london_midnight(cast(as_of_date() - interval '1 year' + interval '1 day' as date)) as since,
    london_midnight(cast(as_of_date() - interval '27 days' as date)) as recent_since
)
select r.referral_id, r.child_id,
  coalesce(t.authority, r.authority) as authority, coalesce(t.service, 'unknown') as service, r.team_id,
  r.received_at,
  r.received_at >= s.recent_since as is_recent,
  case when r.decided_at <= as_of() then r.decided_at end as decided_at,
  case when r.decided_at <= as_of() then r.decision end as decision,
  coalesce(r.decided_at <= as_of(), false) as is_decided
from (select * from referrals where kind = 'referral' and received_at <= as_of()) r
cross join window_start s
left join teams_current t on t.team_id = r.team_id
where r.received_at >= s.since
