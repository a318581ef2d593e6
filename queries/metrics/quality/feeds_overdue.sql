-- name: casewatch_feeds_overdue
-- kind: gauge
-- help: Feeds of a table whose next delivery was expected by now.
-- unit: feeds
-- labels: authority, table
-- value: feeds
-- needs: feeds
-- source: DOMAIN, first thing in the morning: did every feed land
-- publish: open
-- owner: performance team
-- max_series: 5000
select authority, table_name as "table", case when feeds > 0 then overdue end as feeds
from table_deliveries
