-- name: casewatch_vacancy_ratio
-- kind: gauge
-- help: Vacancy rate as DfE defines it: vacancies over vacancies and in post, in full-time equivalents; measured
--   today (now) or at the last 30 September.
-- unit: ratio
-- labels: authority, measured
-- value: rate
-- needs: contracts, posts
-- source: DfE, children's social work workforce
-- owner: workforce team
select authority, measured, rate
from dfe_rates
where measure = 'vacancy'
