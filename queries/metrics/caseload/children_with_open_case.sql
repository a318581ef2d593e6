-- name: casewatch_children_with_open_case
-- kind: gauge
-- help: Children with an open case, merged records counted once.
-- unit: children
-- labels: authority
-- value: children
-- needs: teams, cases
-- source: DOMAIN, caseload of a worker
-- publish: count
-- owner: performance team
select authority, count(distinct person_id) as children
from open_cases
group by authority
