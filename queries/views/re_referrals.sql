-- name: re_referrals
-- row: a day on which a child was referred, in the 12 months to as_of(), and whether that is a re-referral
-- why: An earlier referral of the same child, merges followed, less than 12 months before; earlier ones without further
--   action count, contacts never do, and several on one day are one.
with referred as (
  select authority, person_id, received_on, min(received_at) as received_at
  from (
    select r.authority, coalesce(m.person_id, r.child_id) as person_id, london_date(r.received_at) as received_on,
      r.received_at
    from (
      select authority, child_id, received_at
      from referrals
      where kind = 'referral' and received_at <= as_of()
        and received_at >= london_midnight(as_of_date() - interval '2 years')
    ) r
    left join merged_children m on m.child_id = r.child_id
  )
  group by authority, person_id, received_on
),
in_year as (
  select authority, person_id, received_on, received_at
  from referred
  where received_on > as_of_date() - interval '1 year'
),
earlier as (
  select i.authority, i.person_id, i.received_on
  from in_year i
  join referred e on e.authority = i.authority and e.person_id = i.person_id
  where e.received_on < i.received_on and e.received_on > i.received_on - interval '1 year'
  group by i.authority, i.person_id, i.received_on
)
select i.authority, i.person_id, i.received_on,
  i.received_on > as_of_date() - 28 as is_recent,
  e.person_id is not null as is_re_referral
from in_year i
left join earlier e
  on e.authority = i.authority and e.person_id = i.person_id and e.received_on = i.received_on
