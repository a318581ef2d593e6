-- name: casewatch_vacancy_ratio
-- kind: gauge
-- help: Vacancy rate as DfE defines it: vacancies over vacancies and in post, in full-time equivalents; measured
--   today (now) or at the last 30 September.
-- unit: ratio
-- labels: authority, measured
-- value: rate
-- needs: contracts, posts
-- source: DfE, children's social work workforce
-- publish: share of vacant_posts in all_posts
-- owner: workforce team
select r.authority, r.measured, r.rate, w.vacant_posts, w.vacant_posts + w.in_post_workers as all_posts
from dfe_rates r
join workforce w on w.authority = r.authority and w.measured = r.measured
where r.measure = 'vacancy'
