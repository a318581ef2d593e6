-- name: casewatch_feed_tables_supplied
-- kind: gauge
-- help: 1 for a table of which a complete delivery was ever made, 0 for one never supplied, whose numbers are absent.
-- unit: flag
-- labels: authority, table
-- value: supplied
-- needs: feeds
-- source: DOMAIN, first thing in the morning: did every feed land
-- publish: open
-- owner: performance team
-- max_series: 5000
select authority, table_name as "table", case when feeds > 0 then 1 else 0 end as supplied
from table_deliveries
