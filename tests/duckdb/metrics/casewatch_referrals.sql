select authority, period, coalesce(decision, 'undecided') as decision, count(*) as value
from referral join period on received_on > after
group by all
