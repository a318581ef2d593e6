-- name: casewatch_feed_rows_change
-- kind: gauge
-- help: Rows of the last complete delivery of a table more (or less) than of the one before.
-- unit: rows
-- labels: authority, table
-- value: change
-- needs: feeds
-- source: DOMAIN, first thing in the morning: did every feed land
-- publish: withheld how a delivery went is for those who run the feeds; from one to the next its rows tell of
--   single records
-- owner: performance team
-- max_series: 5000
select authority, table_name as "table", rows_change as change
from table_deliveries
