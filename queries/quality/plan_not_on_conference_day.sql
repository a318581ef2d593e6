-- name: plan_not_on_conference_day
-- row: a child protection plan in force in the last 12 months that did not start on the day of its initial conference
--   (census rule 2885)
-- why: The conference makes the plan; another date breaks every deadline that is counted from it.
select p.authority, p.plan_id, p.case_id
from (
  select authority, plan_id, case_id, conference_id, started_on
  from plans
  where kind = 'child_protection' and started_on <= as_of_date()
    and (ended_on is null or ended_on > as_of_date() - interval '1 year')
) p
join (select conference_id, held_on from conferences where kind in ('initial', 'transfer_in') and held_on is not null) c
  on c.conference_id = p.conference_id
where c.held_on <> p.started_on
