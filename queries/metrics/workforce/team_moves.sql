-- name: casewatch_team_moves
-- kind: gauge
-- help: Moves of social workers between teams of the authority in the year, agency staff included; measured today
--   (now) or at the last 30 September.
-- unit: moves
-- labels: authority, measured
-- value: moves
-- needs: contracts
-- source: DOMAIN, other indicators: moves between teams
-- publish: count
-- owner: workforce team
select w.authority, w.measured, count(m.worker_id) as moves
from workforce w
left join team_moves_in_year m on m.authority = w.authority and m.measured = w.measured
group by w.authority, w.measured
