-- name: holder_state
-- row: an open case with a holder, and what that holder makes of it: leaver_held, nominal, not_social_worker, allocated
-- why: The first of the four that applies. leaver_held: the holder names a worker who is unknown, has no contract in
--   force or is long-term absent. nominal: a manager, a duty desk or a tray, or a worker whose contract is not
--   case-holding. not_social_worker: the status needs one and the holder is not registered. Without a contracts feed
--   the checks on the person are skipped and the holder is unverified.
with facts as (
  select h.case_id, h.holder_kind,
    h.worker_id is not null and f.authority is not null as person_checked,
    h.worker_id is not null and f.authority is null as holder_unverified,
    coalesce(p.known, false) and not coalesce(p.long_term_absent, false) as holder_present,
    coalesce(p.case_holding, false) as holder_case_holding,
    coalesce(p.swe_registered, false) as holder_registered,
    p.leaves_on, s.needs_social_worker
  from primary_holder h
  join open_cases c on c.case_id = h.case_id
  join case_status s on s.case_id = h.case_id
  left join workers_in_post p on p.worker_id = h.worker_id
  left join contract_feeds f on f.authority = c.authority
)
select case_id, holder_unverified, leaves_on as holder_leaves_on,
  case
    when person_checked and not holder_present then 'leaver_held'
    when holder_kind in ('manager', 'duty', 'team_tray') then 'nominal'
    when person_checked and not holder_case_holding then 'nominal'
    when person_checked and needs_social_worker and not holder_registered then 'not_social_worker'
    else 'allocated'
  end as state
from facts
