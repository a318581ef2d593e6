-- name: statuses_told
-- row: an authority and a status that the tables it supplies can tell
-- why: Without plans no case shows as child protection, and a 0 would say that there is none. A status is told where the
--   table that it follows from had a row in force, open or received within a year; cases found in a status count
--   either way. The authority is that of the team at as_of(): what was supplied before a split goes on.
with plan as (
  select authority from plans_in_force
  union
  select authority from plans
  where started_on <= as_of_date() and (ended_on is null or ended_on > as_of_date() - interval '1 year')
),
supplied as (
  select authority, 'plans' as table_name from plan
  union all
  select authority, 'assessments' as table_name from assessment_times group by authority
  union all
  select authority, 'referrals' as table_name from referral_days group by authority
)
select l.authority, s.status
from (select distinct authority from team_labels) l
cross join case_statuses s
left join supplied t on t.authority = l.authority and t.table_name = s.follows_from
where s.follows_from is null or t.authority is not null
