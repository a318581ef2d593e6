-- name: step_changes
-- row: a day of the last 28 on which a case's status rose (up) or fell (down) against the day before while it was open,
--   or on which it was closed to early help (RC9), a step down
-- why: Whether thresholds hold: cases that step down and come back up were stepped down too soon. The day's status is
--   that of its end, of today that of now.
select c.case_id, c.authority, c.service, c.team_id, d.day,
  case when s.rank > b.rank then 'up' else 'down' end as direction, b.status as from_status, s.status as to_status
from status_change_days d
join (select * from case_status_found where moment = 'day_end') f on f.case_id = d.case_id and f.day = d.day
join case_statuses s on s.status = f.status
join (select * from case_status_found where moment = 'day_end') g on g.case_id = d.case_id and g.day = d.day - 1
join case_statuses b on b.status = g.status
join child_cases c on c.case_id = d.case_id
where s.rank <> b.rank
union all
select c.case_id, c.authority, c.service, c.team_id, london_date(c.closed_at) as day, 'down' as direction,
  cast(null as varchar) as from_status, 'early_help' as to_status
from child_cases c
where c.closure_reason = 'RC9' and c.closed_at >= london_midnight(as_of_date() - 27)
