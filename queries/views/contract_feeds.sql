-- name: contract_feeds
-- row: an authority that supplies contracts
-- why: Without that feed nobody would have a contract and every case would look leaver-held on the first day, so the
--   checks on the person are skipped and the holder counts as unverified.
select distinct authority from contracts
