-- What Npgsql, and so Power BI, asks when it connects and for its collections: src/Npgsql/PostgresDatabaseInfo.cs and
-- NpgsqlSchema.cs of github.com/npgsql/npgsql, version 11.0.0-preview.1 (3cb5804b). The same of the same catalogs - columns,
-- functions, joins, order - in words of our own. Power BI lists tables by information_schema besides.
-- query columns: version; rows
SELECT version();
-- query columns: nspname, oid, typname, typtype, typnotnull, elemtypoid; rows
SELECT s.nspname, known.oid, known.typname, known.typtype, known.typnotnull, known.elemtypoid
FROM (
    SELECT one.oid, one.typnamespace, one.typname, one.typtype, one.typrelid, one.typnotnull, one.relkind,
        item.oid AS elemtypoid, item.typname AS elemtypname, itemclass.relkind AS elemrelkind,
        CASE WHEN itemproc.proname = 'array_recv' THEN 'a' ELSE item.typtype END AS elemtyptype, one.typcategory
    FROM (
        SELECT t.oid, typnamespace, typname, typrelid, typnotnull, relkind, typelem AS elemoid,
            CASE WHEN p.proname = 'array_recv' THEN 'a' ELSE t.typtype END AS typtype,
            CASE
                WHEN p.proname = 'array_recv' THEN t.typelem
                WHEN t.typtype = 'r' THEN rngsubtype
                WHEN t.typtype = 'm' THEN (SELECT rngtypid FROM pg_range WHERE rngmultitypid = t.oid)
                WHEN t.typtype = 'd' THEN t.typbasetype
            END AS elemtypoid, t.typcategory
        FROM pg_type AS t
        LEFT JOIN pg_class AS c ON (c.oid = t.typrelid)
        LEFT JOIN pg_proc AS p ON p.oid = t.typreceive
        LEFT JOIN pg_range ON (pg_range.rngtypid = t.oid)
    ) AS one
    LEFT JOIN pg_type AS item ON item.oid = elemtypoid
    LEFT JOIN pg_class AS itemclass ON (itemclass.oid = item.typrelid)
    LEFT JOIN pg_proc AS itemproc ON itemproc.oid = item.typreceive
) AS known
JOIN pg_namespace AS s ON (s.oid = typnamespace)
WHERE typtype IN ('b', 'r', 'm', 'e', 'd') -- and those that are free-standing
    OR (typtype = 'c' AND relkind = 'c')
    OR (typtype = 'p' AND typname IN ('record', 'void', 'unknown'))
    OR (typtype = 'a' AND (
        elemtyptype IN ('b', 'r', 'm', 'e', 'd')
        OR (elemtyptype = 'p' AND elemtypname IN ('record', 'void'))
        OR (elemtyptype = 'c' AND elemrelkind = 'c')))
ORDER BY CASE
    WHEN typtype IN ('b', 'e', 'p') THEN 0
    WHEN typtype = 'd' AND elemtyptype <> 'a' THEN 4
    WHEN typtype = 'a' THEN 5
    WHEN typtype = 'd' AND elemtyptype = 'a' THEN 6
END;
-- query columns: oid, attname, atttypid
SELECT t.oid, a.attname, a.atttypid
FROM pg_type AS t
JOIN pg_namespace AS s ON (s.oid = t.typnamespace)
JOIN pg_class AS c ON (c.oid = t.typrelid)
JOIN pg_attribute AS a ON (a.attrelid = t.typrelid)
WHERE t.typtype = 'c' AND c.relkind = 'c' AND attnum > 0 AND NOT attisdropped
ORDER BY t.oid, a.attnum;
-- query columns: oid, enumlabel
SELECT t.oid, enumlabel FROM pg_enum JOIN pg_type AS t ON t.oid = enumtypid ORDER BY oid, enumsortorder;
-- query columns: datname, usename, pg_encoding_to_char; rows
SELECT b.datname, o.usename, pg_catalog.pg_encoding_to_char(b.encoding)
FROM pg_catalog.pg_database b LEFT JOIN pg_catalog.pg_user o ON b.datdba = o.usesysid;
-- query columns: current_database, nspname, rolname; rows
SELECT * FROM (
    SELECT current_database(), nspname, o.rolname FROM pg_catalog.pg_namespace
    LEFT JOIN pg_catalog.pg_roles o ON o.oid = nspowner
) AS schemata;
-- query columns: table_catalog, table_schema, table_name, table_type; rows
SELECT table_catalog, table_schema, table_name, table_type FROM information_schema.tables
WHERE table_type IN ('BASE TABLE', 'FOREIGN', 'FOREIGN TABLE') AND table_schema NOT IN ('pg_catalog', 'information_schema');
-- query columns: table_catalog, column_name, format_type, collation_catalog; rows
SELECT table_catalog, table_schema, table_name, column_name, ordinal_position, column_default, is_nullable,
    format_type(t.oid, NULL) AS format_type, character_maximum_length, character_octet_length, numeric_precision,
    numeric_precision_radix, numeric_scale, datetime_precision, character_set_catalog, character_set_schema,
    character_set_name, collation_catalog
FROM information_schema.columns
JOIN pg_namespace AS s ON s.nspname = udt_schema
JOIN pg_type AS t ON typnamespace = s.oid AND typname = udt_name
WHERE table_schema = 'public' AND table_name = 'cases';
-- query columns: table_catalog, table_name, check_option, is_updatable; rows
SELECT table_catalog, table_schema, table_name, check_option, is_updatable FROM information_schema.views
WHERE table_schema NOT IN ('pg_catalog', 'information_schema');
-- query columns: current_database, matviewname, ispopulated
SELECT current_database(), schemaname, matviewname, matviewowner, hasindexes, ispopulated FROM pg_catalog.pg_matviews;
-- query columns: usename, usesysid; rows
SELECT usename, usesysid FROM pg_catalog.pg_user;
-- query columns: current_database, nspname, relname; rows
SELECT current_database(), s.nspname, t.relname, x.relname, ''
FROM pg_catalog.pg_class x
JOIN pg_catalog.pg_index i ON i.indexrelid = x.oid
JOIN pg_catalog.pg_class t ON i.indrelid = t.oid
LEFT JOIN pg_catalog.pg_user o ON o.usesysid = x.relowner
LEFT JOIN pg_catalog.pg_namespace s ON s.oid = x.relnamespace
WHERE x.relkind = 'i' AND s.nspname NOT IN ('pg_catalog', 'pg_toast') AND t.relkind = 'r';
-- query columns: current_database, nspname, relname, attname; rows
SELECT current_database(), s.nspname, t.relname, a.attname, x.relname
FROM pg_class t
JOIN pg_index i ON t.oid = i.indrelid
JOIN pg_class x ON i.indexrelid = x.oid
JOIN pg_attribute a ON t.oid = a.attrelid
LEFT JOIN pg_namespace s ON t.relnamespace = s.oid
WHERE x.relkind = 'i' AND a.attnum = ANY(i.indkey) AND t.relkind = 'r' AND t.relname = 'cases';
-- query columns: current_database, nspname, conname, constraint_type, condeferrable; rows
SELECT current_database(), s.nspname, k.conname, current_database(), ts.nspname, t.relname, constraint_type, k.condeferrable,
    k.condeferred
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_namespace s ON k.connamespace = s.oid
JOIN pg_catalog.pg_class t ON k.conrelid = t.oid
JOIN pg_catalog.pg_namespace ts ON t.relnamespace = ts.oid
JOIN (
    SELECT 'PRIMARY KEY' AS constraint_type, 'p' AS contype
    UNION ALL SELECT 'FOREIGN KEY' AS constraint_type, 'f' AS contype
    UNION ALL SELECT 'UNIQUE KEY' AS constraint_type, 'u' AS contype
) words ON words.contype = k.contype AND k.contype = 'f';
-- query columns: current_database, nspname, conname, attname; rows
SELECT current_database(), s.nspname, k.conname, t.relname, a.attname, a.attnum
FROM pg_constraint k
JOIN pg_namespace s ON s.oid = k.connamespace
JOIN pg_class t ON t.oid = k.conrelid AND t.relkind = 'r'
JOIN pg_attribute a ON t.oid = a.attrelid AND a.attnum = ANY(k.conkey)
WHERE s.nspname NOT IN ('pg_catalog', 'pg_toast');
-- query columns: TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE; rows
select TABLE_SCHEMA as "TABLE_SCHEMA", TABLE_NAME as "TABLE_NAME", TABLE_TYPE as "TABLE_TYPE"
from INFORMATION_SCHEMA.tables
where TABLE_SCHEMA not in ('information_schema', 'pg_catalog')
order by TABLE_SCHEMA, TABLE_NAME;
-- query columns: column_name, ordinal_position, is_nullable, data_type; rows
select COLUMN_NAME, ORDINAL_POSITION, IS_NULLABLE, case when (data_type like '%unsigned%') then DATA_TYPE || ' unsigned' else DATA_TYPE end as data_type
from INFORMATION_SCHEMA.columns
where TABLE_SCHEMA = 'public' and TABLE_NAME = 'cases'
order by TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION;
-- query columns: character_set_name
select character_set_name from INFORMATION_SCHEMA.character_sets;
-- query columns: ii_schema, ii_name, column_name, fk_name; rows
select u.table_schema as ii_schema, u.table_name as ii_name, k.column_name, k.constraint_name as fk_name
from INFORMATION_SCHEMA.referential_constraints r
join INFORMATION_SCHEMA.key_column_usage k on k.constraint_schema = r.constraint_schema and k.constraint_name = r.constraint_name
join INFORMATION_SCHEMA.key_column_usage u on u.constraint_schema = r.unique_constraint_schema
  and u.constraint_name = r.unique_constraint_name and u.ordinal_position = k.position_in_unique_constraint
where k.table_schema = 'public' and k.table_name = 'cases';
