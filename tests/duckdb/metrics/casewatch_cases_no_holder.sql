-- Open cases that nobody holds: the strict "unallocated" of press and inspectors.
select authority, service, team, count(*) as value
from open_case
where case_id not in (select case_id from holder)
group by all
