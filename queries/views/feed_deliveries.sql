-- name: feed_deliveries
-- row: a feed and a table, with the last complete delivery by as_of() and the complete one before it
-- why: Did every feed land, and with how many rows? One that is not complete is never used and never counts.
--   rows_lost is the share of the rows of the delivery before that are missing, 0 where there are more;
--   overdue says that the next was expected by now.
with complete as (
  select feed_id, "table" as table_name, authority, as_at, rows, expected_next_by
  from feeds
  where complete and as_at <= as_of()
),
last as (
  select feed_id, table_name, max(as_at) as as_at from complete group by feed_id, table_name
),
before as (
  select c.feed_id, c.table_name, max(c.as_at) as as_at
  from last l
  join complete c on c.feed_id = l.feed_id and c.table_name = l.table_name
  where c.as_at < l.as_at
  group by c.feed_id, c.table_name
)
select c.feed_id, c.table_name, c.authority, c.as_at, c.rows, b.as_at as as_at_before, p.rows as rows_before,
  c.rows - p.rows as rows_change,
  case when p.rows > 0 then greatest(1.0 - cast(c.rows as double) / cast(p.rows as double), 0.0) end as rows_lost,
  c.expected_next_by < as_of() as overdue
from last l
join complete c on c.feed_id = l.feed_id and c.table_name = l.table_name and c.as_at = l.as_at
left join before b on b.feed_id = l.feed_id and b.table_name = l.table_name
left join complete p on p.feed_id = b.feed_id and p.table_name = b.table_name and p.as_at = b.as_at
