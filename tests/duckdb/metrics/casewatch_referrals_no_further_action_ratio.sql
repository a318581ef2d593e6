-- where: service = all, team = all
select authority, 'all' as service, 'all' as team, period,
  count(*) filter (where decision = 'nfa') / count(*) as value
from referral join period on received_on > after
where decision is not null
group by all
