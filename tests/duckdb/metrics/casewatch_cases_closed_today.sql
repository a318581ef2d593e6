select authority, count(*) filter (where london(closed_at) = today() and closed_at <= as_of()) as value
from child_case
group by all
