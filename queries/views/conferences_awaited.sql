-- name: conferences_awaited
-- row: a section 47 enquiry of an open case that is to lead to an initial conference which has not been held
-- why: A conference that never takes place is in no rate of those held in time. It is awaited when the enquiry's outcome
--   is a conference or one was arranged and not cancelled; overdue past 15 working days since the strategy discussion.
with arranged as (
  select section_47_id,
    bool_or(held_on is not null and held_on <= as_of_date()) as held,
    bool_or(cancelled_at is null or cancelled_at > as_of()) as stands
  from conferences
  where kind = 'initial' and section_47_id is not null
  group by section_47_id
)
select a.assessment_id, c.case_id, c.authority, c.service, c.team_id, a.strategy_discussion_at,
  working_days_between(a.strategy_discussion_at, as_of()) as workdays,
  working_days_between(a.strategy_discussion_at, as_of()) > parameter('conference_workdays') as overdue
from open_cases c
join (
  select assessment_id, case_id, strategy_discussion_at,
    coalesce(outcome = 'conference' and authorised_at <= as_of(), false) as decided
  from assessments
  where kind = 'section_47' and strategy_discussion_at <= as_of() and (cancelled_at is null or cancelled_at > as_of())
) a on a.case_id = c.case_id
left join arranged r on r.section_47_id = a.assessment_id
where not coalesce(r.held, false) and (a.decided or coalesce(r.stands, false))
