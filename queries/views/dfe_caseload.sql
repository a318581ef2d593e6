-- name: dfe_caseload
-- row: an authority with the terms of DfE's average caseload and the workers that it leaves out
-- why: Cases held by social workers, agency included, over the FTE of those holding at least one. No case, an FTE of 0
--   and a missing FTE leave bands and average; above 50 per FTE leaves the bands only. Unallocated cases are in
--   neither term, which is why this figure alone hides a failure.
select authority,
  sum(case when cases > 0 and fte > 0 then cases else 0 end) as cases,
  sum(case when cases > 0 and fte > 0 then fte else 0 end) as fte,
  sum(case when cases > 0 and fte > 0 then 1 else 0 end) as workers,
  sum(case when cases = 0 then 1 else 0 end) as no_case_workers,
  sum(case when cases > 0 and fte = 0 then 1 else 0 end) as zero_fte_workers,
  sum(case when cases > 0 and fte is null then 1 else 0 end) as missing_fte_workers,
  sum(case when cases_per_fte > parameter('dfe_caseload_limit_per_fte') then 1 else 0 end) as over_limit_workers
from worker_caseload
where dfe_scope
group by authority
