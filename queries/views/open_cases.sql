-- name: open_cases
-- row: an open case of a child at as_of()
-- why: The population of every allocation figure.
select case_id, child_id, person_id, authority, service, team_id, referral_id, opened_at, referred_at,
  clock_started_at, decision, non_sw_lead_agreed, primary_need
from child_cases
where closed_at is null
