-- name: plan_within_a_day
-- row: a child protection plan of the last 12 months that started and ended on one day (census rule 8840)
-- why: A plan cannot be made and ended at once: a conference outcome was entered wrongly.
select authority, plan_id, case_id
from plans
where kind = 'child_protection' and ended_on = started_on and ended_on <= as_of_date()
  and ended_on > as_of_date() - interval '1 year'
