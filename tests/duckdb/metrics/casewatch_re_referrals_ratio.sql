-- Days on which a child was referred, and of them those with an earlier one less than 12 months before.
with day as (select distinct authority, person_id, received_on from referral),
judged as (
  select d.*, lag(received_on) over (partition by authority, person_id order by received_on) as before from day d
)
select authority, period, avg(case when before > received_on - interval 1 year then 1 else 0 end) as value
from judged join period on received_on > after
group by all
