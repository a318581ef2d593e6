-- name: casewatch_parameter
-- kind: gauge
-- help: A number that a definition depends on and that is a choice: parameters.toml. Its unit stands last in its name.
-- unit: setting
-- labels: parameter
-- value: setting
-- needs: 
-- source: queries/parameters.toml
-- owner: performance team
select parameter, setting
from parameters
