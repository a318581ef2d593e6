-- where: service = all, team = all
select authority, 'all' as service, 'all' as team, period,
  avg(case when working_days(received_on, london(decided_at)) <= 1 then 1 else 0 end) as value
from referral join period on received_on > after
where decided_at is not null
group by all
