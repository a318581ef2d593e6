-- name: visit_clocks
-- row: an interval between visits to a child: one that runs now (visit_id empty), or one that a visit of the last
--   28 days ended
-- why: What a due date is counted from, for both in one form, so that visit_times need say only once how. from_day is
--   the day the duty began: of the plan, of the placement for a looked-after child, of the referral for the first visit,
--   which is owed while an assessment is awaited or under way and nobody has seen the child since. A visit of the
--   referral's day without a time was made after it. A visit that names no plan or placement was made under the newest
--   one of its kind on its day.
with last_visits as (
  select case_id, kind, max(visited_at) as visited_at
  from visits_made
  where seen
  group by case_id, kind
),
plan as (
  select case_id, authority, service, team_id, kind, min(started_on) as started_on, min(visit_every) as visit_every,
    min(visit_unit) as visit_unit
  from plans_in_force
  group by case_id, authority, service, team_id, kind
),
plan_found as (
  select visit_id, plan_id
  from (
    select v.visit_id, p.plan_id,
      row_number() over (partition by v.visit_id order by p.started_on desc, p.plan_id desc) as newest
    from (select visit_id, case_id, kind, london_date(visited_at) as day from recent_visits where plan_id is null) v
    join case_plans p on p.case_id = v.case_id and p.kind = v.kind
    where p.started_on <= v.day and (p.ended_on is null or p.ended_on >= v.day)
  )
  where newest = 1
),
placement_found as (
  select visit_id, placement_id
  from (
    select v.visit_id, m.placement_id,
      row_number() over (partition by v.visit_id order by m.started_on desc, m.placement_id desc) as newest
    from (
      select visit_id, case_id, london_date(visited_at) as day
      from recent_visits
      where placement_id is null and kind = 'looked_after'
    ) v
    join (
      select placement_id, case_id, started_on, ended_on
      from placements
      where ended_on is null or ended_on >= as_of_date() - 27
    ) m on m.case_id = v.case_id
    where m.started_on <= v.day and (m.ended_on is null or m.ended_on >= v.day)
  )
  where newest = 1
)
select cast(null as varchar) as visit_id, d.case_id, d.authority, d.service, d.team_id, d.kind,
  coalesce(case when d.kind = 'looked_after' then p.started_on end, d.started_on) as from_day,
  london_date(v.visited_at) as visited_before_on, cast(null as date) as visited_on, true as seen,
  d.visit_every, d.visit_unit, p.visit_regime, p.first_review_on
from plan d
left join current_placements p on p.case_id = d.case_id
left join last_visits v on v.case_id = d.case_id and v.kind = d.kind
union all
select cast(null as varchar) as visit_id, c.case_id, c.authority, c.service, c.team_id, 'initial' as kind,
  london_date(c.referred_at) as from_day, cast(null as date) as visited_before_on, cast(null as date) as visited_on,
  true as seen, cast(null as int) as visit_every, cast(null as varchar) as visit_unit,
  cast(null as varchar) as visit_regime, cast(null as date) as first_review_on
from (select * from open_cases where decision in ('assessment', 'section_47')) c
join (select case_id from case_status where status in ('assessment', 'awaiting_assessment')) s on s.case_id = c.case_id
left join (select case_id, max(visited_at) as visited_at from last_visits group by case_id) v
  on v.case_id = c.case_id and (v.visited_at >= c.referred_at or v.visited_at = london_midnight(london_date(c.referred_at)))
where v.case_id is null
union all
select v.visit_id, v.case_id, v.authority, v.service, v.team_id, v.kind,
  case v.kind
    when 'initial' then london_date(v.referred_at)
    when 'looked_after' then coalesce(m.started_on, p.started_on)
    else p.started_on
  end as from_day,
  london_date(v.visited_before) as visited_before_on, london_date(v.visited_at) as visited_on, v.seen,
  p.visit_every, p.visit_unit, m.visit_regime, m.first_review_on
from recent_visits v
left join plan_found pf on pf.visit_id = v.visit_id
left join placement_found mf on mf.visit_id = v.visit_id
left join case_plans p on p.plan_id = coalesce(v.plan_id, pf.plan_id)
left join placements m on m.placement_id = coalesce(v.placement_id, mf.placement_id)
