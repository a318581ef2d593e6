-- name: table_deliveries
-- row: an authority and a table of the contract, with its last complete deliveries, of all feeds together
-- why: A table may come from several feeds; the oldest of them says how fresh it is, the one that lost most how whole.
--   feeds is 0 for a table that was never supplied, and nothing is said of its rows.
select a.authority, t.table_name,
  count(d.feed_id) as feeds, min(d.as_at) as as_at, sum(d.rows) as rows, sum(d.rows_change) as rows_change,
  max(d.rows_lost) as rows_lost, sum(case when d.overdue then 1 else 0 end) as overdue
from (select distinct authority from feed_deliveries) a
cross join contract_tables t
left join feed_deliveries d on d.authority = a.authority and d.table_name = t.table_name
group by a.authority, t.table_name
