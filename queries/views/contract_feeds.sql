-- name: contract_feeds
-- row: an authority that supplies contracts
-- why: Without that feed nobody would have a contract and every case would look leaver-held on the first day, so the
--   checks on the person are skipped and the holder counts as unverified. Contracts go with their teams: those supplied
--   before an authority was split are supplied after it.
select distinct coalesce(t.authority, k.authority) as authority
from teams_current t
right join (select distinct authority, team_id from contracts) k on t.team_id = k.team_id
