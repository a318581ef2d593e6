-- name: worker_bands
-- row: a worker's caseload placed in a band of one scheme
-- why: local: every worker with a case-holding contract and an FTE, without a case too. dfe: social workers with at
--   least one case, up to 50 per FTE; those left out are counted by dfe_caseload.
select b.scheme, b.band, c.worker_id, c.authority, c.service, c.team_id, c.cases, c.fte, c.cases_per_fte
from worker_caseload c
cross join caseload_bands b
where c.case_holding
  and c.cases_per_fte >= b.from_per_fte
  and (c.cases_per_fte < b.to_per_fte or (b.to_included and c.cases_per_fte = b.to_per_fte))
  and (b.scheme = 'local' or (c.dfe_scope and c.cases > 0))
