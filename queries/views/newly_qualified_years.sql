-- name: newly_qualified_years
-- row: a worker's newly qualified year, its last day included
-- why: A lighter norm and closer supervision hold for it. Where only the end is known it began a year before; where
--   only the start is known it has no end yet.
select worker_id,
  coalesce(asye_started_on, asye_ends_on - interval '1 year' + interval '1 day') as first_day,
  asye_ends_on as last_day
from workers
where asye_started_on is not null or asye_ends_on is not null
