-- name: allocation_state
-- row: an open case with its allocation state: exactly one of six, the first that matches wins
-- why: The product's own published definition, since no national one exists. leaver_held: the holder named is unknown,
--   has no contract in force or is long-term absent. nominal: a manager, a duty desk or a tray, or a worker whose
--   contract is not case-holding. not_social_worker: the status needs one and the holder is not registered.
--   allocated: there is a holder. in_transition: no holder, within the grace period. unallocated: no holder, past it.
--   Without a contracts feed the checks on the person are skipped and holder_unverified is true.
with facts as (
  select c.case_id, c.person_id, c.authority, c.service, c.team_id, c.opened_at, c.clock_started_at,
    s.status, s.rank, s.protected, s.needs_social_worker,
    h.allocation_id, h.holder_kind, h.worker_id, h.active_primaries,
    h.worker_id is not null and f.authority is not null as person_checked,
    h.worker_id is not null and f.authority is null as holder_unverified,
    coalesce(p.known, false) and not coalesce(p.long_term_absent, false) as holder_present,
    coalesce(p.case_holding, false) as holder_case_holding,
    coalesce(p.swe_registered, false) as holder_registered,
    w.waiting_since, w.waited_workdays, w.waited_calendardays,
    t.case_id is not null as transfer_pending,
    case
      when s.protected then parameter('grace_protection_workdays')
      when t.case_id is not null then parameter('grace_transfer_workdays')
      else parameter('grace_workdays')
    end as grace_workdays
  from open_cases c
  join case_status s on s.case_id = c.case_id
  left join primary_holder h on h.case_id = c.case_id
  left join workers_in_post p on p.worker_id = h.worker_id
  left join contract_feeds f on f.authority = c.authority
  left join waiting_since w on w.case_id = c.case_id
  left join transfers_pending t on t.case_id = c.case_id
),
judged as (
  select *,
    case
      when person_checked and not holder_present then 'leaver_held'
      when holder_kind in ('manager', 'duty', 'team_tray') then 'nominal'
      when person_checked and not holder_case_holding then 'nominal'
      when person_checked and needs_social_worker and not holder_registered then 'not_social_worker'
      when allocation_id is not null then 'allocated'
      when waited_workdays <= grace_workdays then 'in_transition'
      else 'unallocated'
    end as state
  from facts
)
select j.case_id, j.person_id, j.authority, j.service, j.team_id, j.status, j.rank, j.protected, j.needs_social_worker,
  j.state, a.no_holder, a.effective, j.allocation_id, j.holder_kind, j.worker_id, j.holder_unverified,
  j.active_primaries, j.opened_at, j.clock_started_at, j.waiting_since, j.waited_workdays, j.waited_calendardays,
  j.transfer_pending, j.grace_workdays
from judged j
join allocation_states a on a.state = j.state
