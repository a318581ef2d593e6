-- name: casewatch_feed_delivered_timestamp_seconds
-- kind: gauge
-- help: Moment that the last complete delivery of a table describes, in seconds since 1970; of several feeds the oldest.
-- unit: seconds
-- labels: authority, table
-- value: delivered_at
-- needs: feeds
-- source: DOMAIN, first thing in the morning: did every feed land
-- publish: open
-- owner: performance team
-- max_series: 5000
select authority, table_name as "table", cast(as_at as bigint) / 1000000.0 as delivered_at
from table_deliveries
