-- name: allocation_state
-- row: an open case with its allocation state: exactly one of six, the first that matches wins
-- why: The product's own published definition, since no national one exists. A holder makes it leaver_held, nominal,
--   not_social_worker or allocated (holder_state). Without a holder it is in_transition within the grace period and
--   unallocated past it: 2 working days, 5 with a pending transfer, always 1 for protection and looked-after.
with facts as (
  select c.case_id, c.person_id, c.authority, c.service, c.team_id, c.opened_at, c.clock_started_at,
    s.status, s.rank, s.protected, s.needs_social_worker,
    h.allocation_id, h.holder_kind, h.worker_id, h.active_primaries,
    hs.state as held_state, coalesce(hs.holder_unverified, false) as holder_unverified, hs.holder_leaves_on,
    w.waiting_since, w.waited_workdays, w.waited_calendardays, w.ineffective_since, w.ineffective_workdays,
    t.case_id is not null as transfer_pending,
    case
      when s.protected then parameter('grace_protection_workdays')
      when t.case_id is not null then parameter('grace_transfer_workdays')
      else parameter('grace_workdays')
    end as grace_workdays
  from open_cases c
  join case_status s on s.case_id = c.case_id
  left join primary_holder h on h.case_id = c.case_id
  left join holder_state hs on hs.case_id = c.case_id
  left join waiting_since w on w.case_id = c.case_id
  left join transfers_pending t on t.case_id = c.case_id
),
judged as (
  select *,
    coalesce(held_state, case when waited_workdays <= grace_workdays then 'in_transition' else 'unallocated' end)
      as state
  from facts
)
select j.case_id, j.person_id, j.authority, j.service, j.team_id, j.status, j.rank, j.protected, j.needs_social_worker,
  j.state, a.no_holder, a.effective, j.allocation_id, j.holder_kind, j.worker_id, j.holder_unverified,
  j.holder_leaves_on, j.active_primaries, j.opened_at, j.clock_started_at, j.waiting_since, j.waited_workdays,
  j.waited_calendardays, j.ineffective_since, j.ineffective_workdays, j.transfer_pending, j.grace_workdays
from judged j
join allocation_states a on a.state = j.state
