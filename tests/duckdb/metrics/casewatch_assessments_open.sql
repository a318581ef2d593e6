-- By working days since the start.
with aged as (
  select c.authority, a.team_id as team, working_days(london(a.started_at), today()) as age
  from assessments a join cases c using (case_id)
  where a.kind = 'child_family' and a.started_at <= as_of() and (a.authorised_at is null or a.authorised_at > as_of())
    and (a.cancelled_at is null or a.cancelled_at > as_of())
)
select authority, team,
  case when age <= 10 then '0-10' when age <= 25 then '11-25' when age <= 35 then '26-35' when age <= 45 then '36-45'
    else 'over 45' end as age,
  count(*) as value
from aged
group by all
