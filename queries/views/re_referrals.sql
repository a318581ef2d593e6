-- name: re_referrals
-- row: a day on which a child was referred, in the 12 months to as_of(), and whether that is a re-referral
-- why: It is when an earlier referral of the same child lies less than 12 months before, one without further action too.
--   Earlier ones are those to the same authority, and those to one that is no more: after a split a child is known
--   wherever she is referred next, to a team of a new name or in the other half.
select i.authority, i.person_id, i.received_on,
  i.received_on > as_of_date() - 28 as is_recent,
  bool_or(coalesce(e.received_on < i.received_on and e.received_on > i.received_on - interval '1 year'
    and (e.authority = i.authority or e.to_former_authority), false)) as is_re_referral
from (select * from referral_days where received_on > as_of_date() - interval '1 year') i
left join referral_days e on e.person_id = i.person_id
group by i.authority, i.person_id, i.received_on
