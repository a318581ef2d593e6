-- name: no_holder_changes
-- row: a case that has no holder now and had one (or was not open) at the end of the last working day before
--   as_of_date(), or the other way round
-- why: The director's first question of a morning: what came and what went. On a Monday the last working day is Friday.
--   change says how: opened or holder_ended brought it in; held or closed took it out. net is +1 or -1, so that sums are
--   the net flow.
with before as (select case_id, ended_at from no_holder_case_days where workdays_ago = 1),
now as (
  select s.case_id, s.opened_at, d.ended_at
  from (select case_id, opened_at from allocation_state where no_holder) s
  cross join (select ended_at from recent_workdays where workdays_ago = 1) d
),
changed as (
  select coalesce(n.case_id, b.case_id) as case_id,
    case when n.case_id is not null then 1 else -1 end as net,
    case when n.case_id is not null and n.opened_at >= n.ended_at then 'opened'
      when n.case_id is not null then 'holder_ended' end as came
  from now n
  full join before b on b.case_id = n.case_id
  where n.case_id is null or b.case_id is null
)
select c.case_id, k.authority, k.service, k.team_id, c.net,
  coalesce(c.came, case when k.closed_at is null then 'held' else 'closed' end) as change
from changed c
join child_cases k on k.case_id = c.case_id
