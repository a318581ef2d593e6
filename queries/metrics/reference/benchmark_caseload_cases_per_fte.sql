-- name: casewatch_benchmark_caseload_cases_per_fte
-- kind: gauge
-- help: Published average caseload of DfE for England or a region at 30 September of a year.
-- unit: cases_per_fte
-- labels: area, year
-- value: cases_per_fte
-- needs: 
-- source: DfE, children's social work workforce
-- publish: open
-- owner: workforce team
-- max_series: 2000
select area, year, figure as cases_per_fte
from benchmarks
where measure = 'caseload'
