-- name: casewatch_assessments_open
-- kind: gauge
-- help: Open child-and-family assessments by age in working days since they started.
-- unit: assessments
-- labels: authority, service, team, age
-- value: assessments
-- needs: assessments, cases
-- source: DOMAIN, timescales
-- publish: count
-- owner: front door manager
-- max_series: 20000
select authority, service, team_id as team,
  case
    when workdays_from_start <= 10 then '0-10'
    when workdays_from_start <= 25 then '11-25'
    when workdays_from_start <= 35 then '26-35'
    when workdays_from_start <= 45 then '36-45'
    else 'over 45'
  end as age,
  count(*) as assessments
from assessment_times
where is_open
group by 1, 2, 3, 4
