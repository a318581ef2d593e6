-- name: newly_qualified_shares
-- row: a team, a service or an authority with its social workers and how many are in their newly qualified year
-- why: A team of beginners cannot carry what a settled one can. Heads, agency included; 'all' stands for several.
select w.authority, coalesce(w.service, 'all') as service, coalesce(w.team_id, 'all') as team_id,
  count(*) as social_workers,
  sum(case when w.newly_qualified then 1 else 0 end) as newly_qualified
from (
  select p.authority, coalesce(t.service, 'unknown') as service, p.team_id, p.newly_qualified
  from (select * from workers_in_post where child_family_sw) p
  left join teams_current t on t.team_id = p.team_id
) w
group by grouping sets ((w.authority), (w.authority, w.service), (w.authority, w.service, w.team_id))
