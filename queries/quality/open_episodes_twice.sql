-- name: open_episodes_twice
-- row: a child with more than one open case (census rule 8815)
-- why: One open episode a child: the second is a duplicate referral or a merge that was not finished.
select authority, person_id, count(*) as open_cases
from open_cases
group by authority, person_id
having count(*) > 1
