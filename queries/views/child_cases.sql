-- name: child_cases
-- row: a child's case that is open at as_of() or was closed in the 12 months before
-- why: What a case is, once: carers' cases and cases whose referral was decided as no further action are none. Merges
--   are followed (person_id), authority and service are those of the team at as_of(), and the clock of a wait starts at
--   the decision on the referral, else at the opening. referred_at is when that referral was received. A
--   decision whose time the source does not keep counts as taken.
select
  c.case_id,
  c.child_id,
  coalesce(m.person_id, c.child_id) as person_id,
  coalesce(t.authority, c.authority) as authority,
  coalesce(t.service, 'unknown') as service,
  c.team_id,
  c.referral_id,
  c.opened_at,
  c.closed_at,
  c.closure_reason,
  c.referred_at,
  c.clock_started_at,
  c.decision,
  c.non_sw_lead_agreed,
  c.primary_need
from teams_current t
right join (
  select o.case_id, o.child_id, o.authority, o.team_id, o.referral_id, o.opened_at, o.closed_at, o.closure_reason,
    o.non_sw_lead_agreed,
    o.primary_need, r.received_at as referred_at,
    coalesce(case when r.decided_at <= as_of() then r.decided_at end, o.opened_at) as clock_started_at,
    case when r.decided_at is null or r.decided_at <= as_of() then r.decision end as decision
  from (
    select case_id, child_id, authority, team_id, referral_id, opened_at,
      case when closed_at <= as_of() then closed_at end as closed_at,
      case when closed_at <= as_of() then closure_reason end as closure_reason,
      coalesce(non_sw_lead_agreed, false) as non_sw_lead_agreed, primary_need
    from cases
    where (closed_at is null or closed_at >= london_midnight(as_of_date() - interval '1 year' + interval '1 day'))
      and opened_at <= as_of() and subject = 'child'
  ) o
  left join referrals r on r.referral_id = o.referral_id
  where not coalesce(r.decision = 'nfa' and (r.decided_at is null or r.decided_at <= as_of()), false)
) c on t.team_id = c.team_id
left join merged_children m on m.child_id = c.child_id
