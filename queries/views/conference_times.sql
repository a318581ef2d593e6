-- name: conference_times
-- row: an initial child protection conference held in the 12 months to as_of_date(), with the working days since the
--   strategy discussion
-- why: In time is 15 working days after the strategy discussion that began the section 47 enquiry. The authority is that
--   of the case's team at as_of(), and the one that recorded it where the case is no longer known.
select f.conference_id, f.case_id, coalesce(c.authority, f.authority) as authority, f.held_on,
  f.held_on > as_of_date() - 28 as is_recent,
  working_days_between(a.strategy_discussion_at, f.held_on) as workdays,
  working_days_between(a.strategy_discussion_at, f.held_on) <= parameter('conference_workdays') as in_time
from (
  select conference_id, case_id, authority, section_47_id, held_on
  from conferences
  where kind = 'initial' and held_on <= as_of_date() and held_on > as_of_date() - interval '1 year'
    and (cancelled_at is null or cancelled_at > as_of())
) f
join (
  select assessment_id, strategy_discussion_at
  from assessments
  where kind = 'section_47' and strategy_discussion_at is not null
) a on a.assessment_id = f.section_47_id
left join child_cases c on c.case_id = f.case_id
