-- name: casewatch_benchmark_ratio
-- kind: gauge
-- help: Published rate of DfE for England or a region at 30 September of a year: turnover, vacancy, agency, absence.
-- unit: ratio
-- labels: area, year, measure
-- value: rate
-- needs: 
-- source: DfE, children's social work workforce
-- publish: open
-- owner: workforce team
-- max_series: 5000
select area, year, measure, figure as rate
from benchmarks
where measure <> 'caseload'
