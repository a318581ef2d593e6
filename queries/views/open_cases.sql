-- name: open_cases
-- row: an open case of a child at as_of()
-- why: The population of every allocation figure. Carers' cases and cases whose referral was decided as no further
--   action are not in it. Merges are followed (person_id), authority and service are those of the team at as_of(), and
--   the clock of a wait starts at the decision on the referral, else at the opening.
select
  c.case_id,
  c.child_id,
  coalesce(m.person_id, c.child_id) as person_id,
  coalesce(t.authority, c.authority) as authority,
  coalesce(t.service, 'unknown') as service,
  c.team_id,
  c.referral_id,
  c.opened_at,
  coalesce(case when r.decided_at <= as_of() then r.decided_at end, c.opened_at) as clock_started_at,
  case when r.decided_at <= as_of() then r.decision end as decision,
  coalesce(c.non_sw_lead_agreed, false) as non_sw_lead_agreed,
  c.primary_need
from (
  select case_id, child_id, authority, team_id, referral_id, opened_at, non_sw_lead_agreed, primary_need
  from cases
  where subject = 'child' and opened_at <= as_of() and (closed_at is null or closed_at > as_of())
) c
left join referrals r on r.referral_id = c.referral_id
left join merged_children m on m.child_id = c.child_id
left join teams_current t on t.team_id = c.team_id
where not coalesce(r.decision = 'nfa' and (r.decided_at is null or r.decided_at <= as_of()), false)
