-- name: casewatch_workers_in_dfe_caseload_band
-- kind: gauge
-- help: Social workers with cases by cases per full-time equivalent, in the bands of the Department for Education.
-- unit: workers
-- labels: authority, band
-- value: workers
-- needs: teams, workers, contracts, cases, allocations
-- source: DOMAIN, caseload of a worker and bands
-- publish: count
-- owner: performance team
-- max_series: 5000
select d.authority, b.band, count(w.worker_id) as workers
from dfe_caseload d
cross join (select band from caseload_bands where scheme = 'dfe') b
left join (select * from worker_bands where scheme = 'dfe') w on w.authority = d.authority and w.band = b.band
group by d.authority, b.band
