-- name: casewatch_placements_unsuitable
-- kind: gauge
-- help: Children of open cases, care leavers among them, who live in unsuitable accommodation, by kind of place.
-- unit: placements
-- labels: authority, service, team, kind
-- value: placements
-- needs: teams, cases, placements
-- source: DOMAIN, other indicators: unsuitable accommodation
-- publish: count
-- owner: practice lead
-- max_series: 100000
select l.authority, l.service, l.team_id as team, k.kind, count(p.case_id) as placements
from team_labels l
cross join (select column1 as kind from (values ('foster'), ('kinship'), ('residential'), ('parents'), ('adoption'),
  ('supported'), ('independent'), ('unregistered'), ('bed_and_breakfast'), ('custody'), ('care_leaver_home'))) k
left join (select * from current_placements where unsuitable) p
  on p.authority = l.authority and p.service = l.service and p.team_id = l.team_id and p.kind = k.kind
group by l.authority, l.service, l.team_id, k.kind
