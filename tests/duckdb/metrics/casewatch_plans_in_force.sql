-- A plan that ends today ended at 00:00.
select c.authority, c.service, c.team, p.kind, count(*) as value
from plans p
join open_case c using (case_id)
where p.started_on <= today() and (p.ended_on is null or p.ended_on > today())
group by all
