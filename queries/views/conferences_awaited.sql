-- name: conferences_awaited
-- row: a section 47 enquiry of an open case that is to lead to an initial conference which has not been held
-- why: A conference that never takes place is in no rate of those held in time. It is awaited when the enquiry's outcome
--   is a conference or one was arranged and not cancelled; overdue past 15 working days since the strategy discussion.
with enquiry as (
  select a.assessment_id, c.case_id, c.authority, c.service, c.team_id, a.strategy_discussion_at, a.decided
  from open_cases c
  join (
    select assessment_id, case_id, strategy_discussion_at,
      coalesce(outcome = 'conference' and authorised_at <= as_of(), false) as decided
    from case_assessments
    where kind = 'section_47' and strategy_discussion_at <= as_of() and (cancelled_at is null or cancelled_at > as_of())
  ) a on a.case_id = c.case_id
),
arranged as (
  select f.section_47_id,
    bool_or(f.held_on is not null and f.held_on <= as_of_date()) as held,
    bool_or(f.cancelled_at is null or f.cancelled_at > as_of()) as stands
  from enquiry e
  join (select section_47_id, held_on, cancelled_at from conferences where kind = 'initial') f
    on f.section_47_id = e.assessment_id
  group by f.section_47_id
)
select e.assessment_id, e.case_id, e.authority, e.service, e.team_id, e.strategy_discussion_at,
  working_days_between(e.strategy_discussion_at, as_of()) as workdays,
  working_days_between(e.strategy_discussion_at, as_of()) > parameter('conference_workdays') as overdue
from enquiry e
left join arranged r on r.section_47_id = e.assessment_id
where not coalesce(r.held, false) and (e.decided or coalesce(r.stands, false))
