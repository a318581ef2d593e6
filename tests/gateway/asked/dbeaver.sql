-- What DBeaver asks when it connects and browses: PostgreDataSource, PostgreDatabase, PostgreSchema, PostgreDataType,
-- PostgreViewBase, PostgreTableConstraintBase, PostgreRole, PostgreDependency and PostgreUtils below
-- plugins/org.jkiss.dbeaver.ext.postgresql of github.com/dbeaver/dbeaver, version 24.2.3 (2428359b). The same of the same
-- catalogs - columns, functions, joins, order - in words of our own. `$oid` stands for the number of a table.
-- query columns: oid, datname, datistemplate; rows
SELECT b.oid, b.* FROM pg_catalog.pg_database b WHERE 1 = 1 AND datallowconn AND NOT datistemplate ORDER BY b.datname;
-- query columns: typcategory
SELECT typcategory FROM pg_catalog.pg_type WHERE 1<>1 LIMIT 1;
-- query columns: oid
SELECT * FROM pg_catalog.pg_enum WHERE 1<>1 LIMIT 1;
-- query columns: search_path; rows
SHOW search_path;
-- query columns: current_schema, session_user; rows
SELECT current_schema(),session_user;
-- query columns: description
SELECT description FROM pg_shdescription JOIN pg_database ON objoid = pg_database.oid WHERE datname = 'casewatch';
-- query columns: datname, pg_database_size; rows
SELECT b.datname, pg_database_size(b.oid) FROM pg_catalog.pg_database b;
-- query columns: oid, nspname, description; rows
SELECT s.oid, s.*, said.description FROM pg_catalog.pg_namespace s
LEFT OUTER JOIN pg_catalog.pg_description said ON said.objoid = s.oid AND said.objsubid = 0 AND said.classoid = 'pg_namespace'::regclass
ORDER BY nspname;
-- query columns: oid, typname, typtype, relkind, base_type_name, description; rows
SELECT t.oid, t.*, r.relkind, format_type(nullif(t.typbasetype, 0), t.typtypmod) AS base_type_name, said.description
FROM pg_catalog.pg_type t
LEFT OUTER JOIN pg_catalog.pg_type item ON item.oid = t.typelem
LEFT OUTER JOIN pg_catalog.pg_class r ON r.oid = t.typrelid
LEFT OUTER JOIN pg_catalog.pg_description said ON t.oid = said.objoid
WHERE t.typname IS NOT NULL AND (r.relkind IS NULL OR r.relkind = 'c') AND (item.typcategory IS NULL OR item.typcategory <> 'C');
-- query columns: oid, relname, relkind, description, partition_expr, partition_key; rows
SELECT r.oid, r.*, said.description, pg_catalog.pg_get_expr(r.relpartbound, r.oid) AS partition_expr,
  pg_catalog.pg_get_partkeydef(r.oid) AS partition_key
FROM pg_catalog.pg_class r
LEFT OUTER JOIN pg_catalog.pg_description said ON said.objoid = r.oid AND said.objsubid = 0 AND said.classoid = 'pg_class'::regclass
WHERE r.relnamespace = 2200 AND r.relkind NOT IN ('i', 'I', 'c');
-- query columns: relname, attname, atttypid, attnum, def_value, description, objid; rows
SELECT r.relname, a.*, pg_catalog.pg_get_expr(def.adbin, def.adrelid, true) AS def_value, said.description, dep.objid
FROM pg_catalog.pg_attribute a
INNER JOIN pg_catalog.pg_class r ON (a.attrelid = r.oid)
LEFT OUTER JOIN pg_catalog.pg_attrdef def ON (a.attrelid = def.adrelid AND a.attnum = def.adnum)
LEFT OUTER JOIN pg_catalog.pg_description said ON (r.oid = said.objoid AND a.attnum = said.objsubid)
LEFT OUTER JOIN pg_depend dep ON dep.refobjid = a.attrelid AND dep.deptype = 'i' AND dep.refobjsubid = a.attnum AND dep.classid = dep.refclassid
WHERE NOT a.attisdropped AND r.relkind NOT IN ('i', 'I', 'c') AND r.oid = $oid
ORDER BY a.attnum;
-- query columns: oid, conname, contype, conkey, confkey, confrelid, tabrelname, refnamespace, description; rows
SELECT k.oid, k.*, t.relname AS tabrelname, r.relnamespace AS refnamespace, said.description,
  CASE WHEN k.contype = 'c' THEN "substring"(pg_get_constraintdef(k.oid), 7) ELSE null END consrc_copy
FROM pg_catalog.pg_constraint k
INNER JOIN pg_catalog.pg_class t ON t.oid = k.conrelid
LEFT OUTER JOIN pg_catalog.pg_class r ON r.oid = k.confrelid
LEFT OUTER JOIN pg_catalog.pg_description said ON said.objoid = k.oid AND said.objsubid = 0 AND said.classoid = 'pg_constraint'::regclass
WHERE t.relnamespace = 2200
ORDER BY k.oid;
-- query columns: pg_get_constraintdef; rows
SELECT pg_catalog.pg_get_constraintdef(k.oid) FROM pg_catalog.pg_constraint k WHERE k.conrelid = $oid;
-- query columns: concat
SELECT concat(k.conname, ' ', pg_catalog.pg_get_constraintdef(oid, true)) FROM pg_catalog.pg_constraint k WHERE contypid = 25;
-- query columns: indrelid, keys, relname, relam, tabrelname, description, pred_expr, expr, index_rel_size, index_num_scans; rows
SELECT i.*, i.indkey AS keys, x.relname, x.relnamespace, x.relam, x.reltablespace, t.relname AS tabrelname, said.description,
  pg_catalog.pg_get_expr(i.indpred, i.indrelid) AS pred_expr, pg_catalog.pg_get_expr(i.indexprs, i.indrelid, true) AS expr,
  pg_catalog.pg_relation_size(i.indexrelid) AS index_rel_size, pg_catalog.pg_stat_get_numscans(i.indexrelid) AS index_num_scans
FROM pg_catalog.pg_index i
INNER JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
INNER JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
LEFT OUTER JOIN pg_catalog.pg_description said ON i.indexrelid = said.objoid
WHERE i.indrelid = $oid
ORDER BY x.relname;
-- query columns: pg_get_indexdef; rows
SELECT pg_catalog.pg_get_indexdef(i.indexrelid, 1, true) FROM pg_catalog.pg_index i WHERE i.indrelid = $oid;
-- query columns: pg_get_viewdef; rows
SELECT pg_get_viewdef('public.allocation_state'::regclass, true);
-- query columns: oid, total_rel_size, rel_size; rows
SELECT r.oid, pg_catalog.pg_total_relation_size(r.oid) AS total_rel_size, pg_catalog.pg_relation_size(r.oid) AS rel_size
FROM pg_class r
WHERE r.relnamespace = 2200;
-- query columns: relid, parent_ns, parent_oid, inhseqno
SELECT h.inhrelid relid, p.relnamespace parent_ns, p.oid parent_oid, h.inhseqno
FROM pg_catalog.pg_inherits h, pg_class r, pg_class p
WHERE r.oid = h.inhrelid AND r.relnamespace = 2200 AND p.oid = h.inhparent;
-- query columns: oid, defaclnamespace
SELECT * FROM pg_default_acl WHERE defaclnamespace = 2200;
-- query columns: proc_oid, proc_name
SELECT p.oid AS proc_oid, p.proname AS proc_name, a.* FROM pg_catalog.pg_aggregate a, pg_catalog.pg_proc p
WHERE p.oid = a.aggfnoid AND p.pronamespace = 2200 ORDER BY p.proname;
-- query columns: poid, proname, arg_defaults, description; rows
SELECT p.oid AS poid, p.*, pg_catalog.pg_get_expr(p.proargdefaults, 0) AS arg_defaults, said.description
FROM pg_catalog.pg_proc p
LEFT OUTER JOIN pg_catalog.pg_description said ON said.objoid = p.oid AND said.classoid = 'pg_proc'::regclass AND said.objsubid = 0
WHERE p.pronamespace = 11 ORDER BY p.proname;
-- query columns: oid, rolname, description; rows
SELECT o.oid, o.*, said.description FROM pg_catalog.pg_roles o
LEFT JOIN pg_catalog.pg_shdescription said ON o.oid = said.objoid ORDER BY o.rolname;
-- query columns: roleid, member
SELECT * FROM pg_catalog.pg_auth_members WHERE roleid = 10;
-- query columns: table_name, privilege_type; rows
SELECT * FROM information_schema.table_privileges WHERE table_catalog = 'casewatch' AND grantee = 'analyst';
-- query columns: specific_name, privilege_type
SELECT * FROM information_schema.routine_privileges WHERE specific_catalog = 'casewatch' AND grantee = 'analyst';
-- query columns: oid, nspacl
SELECT s.oid, s.nspacl FROM pg_catalog.pg_namespace s WHERE s.nspacl IS NOT NULL;
-- query columns: oid, amname; rows
SELECT m.oid, m.* FROM pg_catalog.pg_am m ORDER BY m.oid;
-- query columns: encid, encname
SELECT e.contoencoding AS encid, pg_catalog.pg_encoding_to_char(e.contoencoding) AS encname FROM pg_catalog.pg_conversion e
GROUP BY e.contoencoding ORDER BY 2;
-- query columns: oid, collname; rows
SELECT l.oid, l.* FROM pg_catalog.pg_collation l ORDER BY l.oid;
-- query columns: oid, lanname; rows
SELECT l.oid, l.* FROM pg_catalog.pg_language l ORDER BY l.oid;
-- query columns: oid, fdwname, handler_schema_id
SELECT w.oid, w.*, p.pronamespace AS handler_schema_id FROM pg_catalog.pg_foreign_data_wrapper w
LEFT OUTER JOIN pg_catalog.pg_proc p ON p.oid = w.fdwhandler ORDER BY w.fdwname;
-- query columns: oid, srvname
SELECT w.oid, w.* FROM pg_catalog.pg_foreign_server w ORDER BY w.srvname;
-- query columns: oid, spcname, loc; rows
SELECT t.oid, t.*, pg_tablespace_location(t.oid) loc FROM pg_catalog.pg_tablespace t ORDER BY t.oid;
-- query columns: name, default_version, installed_version, comment
SELECT name, default_version, installed_version, comment FROM pg_catalog.pg_available_extensions ORDER BY name;
-- query columns: evtname, description
SELECT e.*, said.description FROM pg_catalog.pg_event_trigger e LEFT OUTER JOIN pg_catalog.pg_description said ON e."oid" = said.objoid;
-- query columns: oid, extname, tbls, schema_name
SELECT e.oid, cfg.tbls, s.nspname AS schema_name, e.*
FROM pg_catalog.pg_extension e
JOIN pg_namespace s ON s.oid = e.extnamespace
LEFT JOIN (
  SELECT ARRAY_AGG(ns.nspname || '.' || r.relname) tbls, oid_ext
  FROM (SELECT unnest(e1.extconfig) oid, e1.oid oid_ext FROM pg_catalog.pg_extension e1) c
  JOIN pg_class r ON r.oid = c.oid
  JOIN pg_namespace ns ON ns.oid = r.relnamespace
  GROUP BY oid_ext
) cfg ON cfg.oid_ext = e.oid
ORDER BY e.oid;
-- query columns: name, setting; rows
SELECT * FROM pg_catalog.pg_settings;
-- query columns: deptype, classid, objid, relkind, type, ownertable, refname, nspname
SELECT DISTINCT dep.deptype, dep.classid, dep.objid, r.relkind,
  CASE WHEN r.relkind IS NOT NULL THEN r.relkind::text || COALESCE(dep.objsubid::text, '')::text
       WHEN k.oid IS NOT NULL THEN 'C'::text || k.contype::text ELSE '' END AS type,
  COALESCE(rk.relname, rg.relname) AS ownertable,
  COALESCE(r.relname, k.conname, g.tgname, s.nspname) AS refname, COALESCE(sr.nspname, s.nspname) AS nspname
FROM pg_depend dep
LEFT JOIN pg_class r ON dep.objid = r.oid
LEFT JOIN pg_namespace sr ON r.relnamespace = sr.oid
LEFT JOIN pg_trigger g ON dep.objid = g.oid
LEFT JOIN pg_class rg ON g.tgrelid = rg.oid
LEFT JOIN pg_constraint k ON dep.objid = k.oid
LEFT JOIN pg_class rk ON k.conrelid = rk.oid
LEFT JOIN pg_namespace s ON dep.objid = s.oid
WHERE dep.refobjid = $oid
ORDER BY type;
-- query columns: schemaname, tablename, policyname
SELECT * FROM pg_catalog.pg_policies WHERE schemaname = 'public' AND tablename = 'cases';
