-- name: caseload_bands
-- row: a band of cases per full-time equivalent, of this product (local) or of the Department for Education (dfe)
-- why: Bounds as data: from is included, to is not, save that DfE's last band includes 50.
select column1 as scheme, column2 as band, column3 as from_per_fte, column4 as to_per_fte, column5 as to_included
from (values
  ('local', '[0,16)', 0.0, 16.0, false),
  ('local', '[16,21)', 16.0, 21.0, false),
  ('local', '[21,26)', 21.0, 26.0, false),
  ('local', '[26,31)', 26.0, 31.0, false),
  ('local', '[31,41)', 31.0, 41.0, false),
  ('local', '[41,51)', 41.0, 51.0, false),
  ('local', '[51,inf)', 51.0, 1e9, false),
  ('dfe', '[1,5)', 0.0, 5.0, false),
  ('dfe', '[5,10)', 5.0, 10.0, false),
  ('dfe', '[10,15)', 10.0, 15.0, false),
  ('dfe', '[15,20)', 15.0, 20.0, false),
  ('dfe', '[20,25)', 20.0, 25.0, false),
  ('dfe', '[25,30)', 25.0, 30.0, false),
  ('dfe', '[30,35)', 30.0, 35.0, false),
  ('dfe', '[35,40)', 35.0, 40.0, false),
  ('dfe', '[40,45)', 40.0, 45.0, false),
  ('dfe', '[45,50]', 45.0, 50.0, true))
