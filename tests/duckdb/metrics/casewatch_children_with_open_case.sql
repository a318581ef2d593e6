select authority, count(distinct person_id) as value from open_case group by all
