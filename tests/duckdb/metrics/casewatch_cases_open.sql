select authority, service, team, count(*) as value from open_case group by all
