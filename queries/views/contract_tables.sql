-- name: contract_tables
-- row: a table that a source system may supply
-- why: What has never been supplied has to be named to be said. The names are the contract's, so they may label.
select column1 as table_name
from (values ('teams'), ('workers'), ('contracts'), ('posts'), ('absences'), ('children'), ('referrals'), ('cases'),
  ('plans'), ('allocations'), ('transfers'), ('assessments'), ('conferences'), ('visits'), ('supervisions'),
  ('placements'))
