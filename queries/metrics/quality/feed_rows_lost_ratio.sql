-- name: casewatch_feed_rows_lost_ratio
-- kind: gauge
-- help: Share of its rows that a table lost between the last two complete deliveries, the worst of its feeds; 0 where it grew.
-- unit: ratio
-- labels: authority, table
-- value: lost
-- needs: feeds
-- source: DOMAIN, first thing in the morning: did every feed land
-- publish: withheld how a delivery went is for those who run the feeds; from one to the next its rows tell of
--   single records
-- owner: performance team
-- max_series: 5000
select authority, table_name as "table", rows_lost as lost
from table_deliveries
