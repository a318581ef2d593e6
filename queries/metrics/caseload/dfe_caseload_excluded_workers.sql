-- name: casewatch_dfe_caseload_excluded_workers
-- kind: gauge
-- help: Social workers that the DfE caseload leaves out, by reason; over_limit leaves the bands only.
-- unit: workers
-- labels: authority, reason
-- value: workers
-- needs: teams, workers, contracts, cases, allocations
-- source: DOMAIN, caseload of a worker and bands
-- publish: count
-- owner: performance team
select authority, 'no_case' as reason, no_case_workers as workers from dfe_caseload
union all
select authority, 'zero_fte' as reason, zero_fte_workers as workers from dfe_caseload
union all
select authority, 'missing_fte' as reason, missing_fte_workers as workers from dfe_caseload
union all
select authority, 'over_limit' as reason, over_limit_workers as workers from dfe_caseload
