-- name: current_placements
-- row: an open case with the placement that the child is in on as_of_date()
-- why: The last day of a placement is included, so on a day of moving two are in force: the one that started last counts
--   (tie: by id). Unregistered places and bed and breakfast are never suitable, whatever was judged.
with in_force as (
  select case_id, placement_id, kind, visit_regime, first_review_on, started_on, suitable,
    row_number() over (partition by case_id order by started_on desc, placement_id desc) as newest
  from placements
  where started_on <= as_of_date() and (ended_on is null or ended_on >= as_of_date())
)
select c.case_id, c.authority, c.service, c.team_id, p.placement_id, p.kind, p.visit_regime, p.first_review_on,
  p.started_on,
  p.kind in ('unregistered', 'bed_and_breakfast') or not coalesce(p.suitable, true) as unsuitable
from open_cases c
join (select * from in_force where newest = 1) p on p.case_id = c.case_id
