-- name: service_bands
-- row: a band of length of service
-- why: DfE's bands, as data: from is included, to is not, in whole years served.
select column1 as band, column2 as from_years, column3 as to_years
from (values ('[0,2)', 0, 2), ('[2,5)', 2, 5), ('[5,10)', 5, 10), ('[10,20)', 10, 20), ('[20,30)', 20, 30),
  ('[30,inf)', 30, 1000))
