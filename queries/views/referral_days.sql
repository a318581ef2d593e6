-- name: referral_days
-- row: a day in the two years to as_of() on which a child, merges followed, was referred
-- why: Several referrals of a child on one day are one; contacts are none. The authority is that of the team at as_of(), as
--   for referrals_in_year: a child who was known before an authority split is known after it. to_former_authority says
--   that one was made to an authority that is no more.
select coalesce(t.authority, r.authority) as authority, coalesce(m.person_id, r.child_id) as person_id, r.received_on,
  bool_or(f.authority is not null) as to_former_authority
from merged_children m
right join (
  select authority, child_id, team_id, london_date(received_at) as received_on
  from referrals
  where kind = 'referral' and received_at <= as_of()
    and received_at >= london_midnight(as_of_date() - interval '2 years')
) r on m.child_id = r.child_id
left join teams_current t on t.team_id = r.team_id
left join former_authorities f on f.authority = r.authority
group by coalesce(t.authority, r.authority), coalesce(m.person_id, r.child_id), r.received_on
