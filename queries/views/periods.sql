-- name: periods
-- row: a period that events are counted over: the 12 months to as_of(), or the last 28 days of them
-- why: The long one is steady, the short one shows a change. A row of such an event says with is_recent whether it lies
--   in the short one, so that both come from one pass: where is_recent or not recent_only.
select column1 as period, column2 as recent_only
from (values ('12_months', false), ('28_days', true))
