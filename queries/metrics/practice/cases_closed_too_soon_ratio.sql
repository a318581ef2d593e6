-- name: casewatch_cases_closed_too_soon_ratio
-- kind: gauge
-- help: Share of the cases closed in the last 12 months, those whose 90 days are over, that were referred again within them.
-- unit: ratio
-- labels: authority
-- value: share
-- needs: teams, cases, referrals
-- source: DOMAIN, why it exists: cases closed too soon
-- publish: share of too_soon in closures
-- owner: practice lead
select authority, avg(case when too_soon then 1.0 else 0.0 end) as share,
  sum(case when too_soon then 1 else 0 end) as too_soon, count(*) as closures
from closures_in_year
where too_soon_known
group by authority
