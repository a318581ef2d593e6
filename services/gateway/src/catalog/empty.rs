//! The catalogs about what is not here.

use super::{CATALOG_SCHEMA, INFORMATION_SCHEMA};

/// Catalogs that have no rows here, with the columns that clients join them by. A letter says the type: see
/// [`kind`](super::cells).
pub(super) const EMPTY: &[(&str, &str, &str)] = &[
    (
        CATALOG_SCHEMA,
        "pg_aggregate",
        "aggfnoid:o aggkind:c aggnumdirectargs:s aggtransfn:o aggfinalfn:o aggsortop:o aggtranstype:o",
    ),
    (CATALOG_SCHEMA, "pg_attrdef", "oid:o adrelid:o adnum:s adbin:t"),
    (
        CATALOG_SCHEMA,
        "pg_auth_members",
        "oid:o roleid:o member:o grantor:o admin_option:b",
    ),
    (
        CATALOG_SCHEMA,
        "pg_cast",
        "oid:o castsource:o casttarget:o castfunc:o castcontext:c castmethod:c",
    ),
    (
        CATALOG_SCHEMA,
        "pg_conversion",
        "oid:o conname:n connamespace:o conowner:o conforencoding:i contoencoding:i conproc:o condefault:b",
    ),
    (
        CATALOG_SCHEMA,
        "pg_default_acl",
        "oid:o defaclrole:o defaclnamespace:o defaclobjtype:c defaclacl:T",
    ),
    (
        CATALOG_SCHEMA,
        "pg_depend",
        "classid:o objid:o objsubid:i refclassid:o refobjid:o refobjsubid:i deptype:c",
    ),
    (
        CATALOG_SCHEMA,
        "pg_enum",
        "oid:o enumtypid:o enumsortorder:f enumlabel:n",
    ),
    (
        CATALOG_SCHEMA,
        "pg_extension",
        "oid:o extname:n extowner:o extnamespace:o extrelocatable:b extversion:t extconfig:O extcondition:T",
    ),
    (
        CATALOG_SCHEMA,
        "pg_available_extensions",
        "name:n default_version:t installed_version:t comment:t",
    ),
    (
        CATALOG_SCHEMA,
        "pg_available_extension_versions",
        "name:n version:t installed:b superuser:b trusted:b relocatable:b schema:n requires:T comment:t",
    ),
    (
        CATALOG_SCHEMA,
        "pg_event_trigger",
        "oid:o evtname:n evtevent:n evtowner:o evtfoid:o evtenabled:c evttags:T",
    ),
    (
        CATALOG_SCHEMA,
        "pg_foreign_data_wrapper",
        "oid:o fdwname:n fdwowner:o fdwhandler:o fdwvalidator:o fdwacl:T fdwoptions:T",
    ),
    (
        CATALOG_SCHEMA,
        "pg_foreign_server",
        "oid:o srvname:n srvowner:o srvfdw:o srvtype:t srvversion:t srvacl:T srvoptions:T",
    ),
    (CATALOG_SCHEMA, "pg_foreign_table", "ftrelid:o ftserver:o ftoptions:T"),
    (
        CATALOG_SCHEMA,
        "pg_inherits",
        "inhrelid:o inhparent:o inhseqno:i inhdetachpending:b",
    ),
    (
        CATALOG_SCHEMA,
        "pg_locks",
        "locktype:t database:o relation:o pid:i mode:t granted:b",
    ),
    (
        CATALOG_SCHEMA,
        "pg_matviews",
        "schemaname:n matviewname:n matviewowner:n tablespace:n hasindexes:b ispopulated:b definition:t",
    ),
    (
        CATALOG_SCHEMA,
        "pg_opclass",
        "oid:o opcmethod:o opcname:n opcnamespace:o opcowner:o opcfamily:o opcintype:o opcdefault:b opckeytype:o",
    ),
    (
        CATALOG_SCHEMA,
        "pg_operator",
        "oid:o oprname:n oprnamespace:o oprowner:o oprkind:c oprleft:o oprright:o oprresult:o oprcode:o",
    ),
    (
        CATALOG_SCHEMA,
        "pg_partitioned_table",
        "partrelid:o partstrat:c partnatts:s partdefid:o partattrs:S partclass:O partcollation:O partexprs:t",
    ),
    (
        CATALOG_SCHEMA,
        "pg_policy",
        "oid:o polname:n polrelid:o polcmd:c polpermissive:b polroles:O polqual:t polwithcheck:t",
    ),
    (
        CATALOG_SCHEMA,
        "pg_policies",
        "schemaname:n tablename:n policyname:n permissive:t roles:T cmd:t qual:t with_check:t",
    ),
    (
        CATALOG_SCHEMA,
        "pg_prepared_xacts",
        "transaction:i gid:t owner:n database:n",
    ),
    (
        CATALOG_SCHEMA,
        "pg_publication",
        "oid:o pubname:n pubowner:o puballtables:b pubinsert:b pubupdate:b pubdelete:b pubtruncate:b pubviaroot:b",
    ),
    (CATALOG_SCHEMA, "pg_publication_namespace", "oid:o pnpubid:o pnnspid:o"),
    (
        CATALOG_SCHEMA,
        "pg_publication_rel",
        "oid:o prpubid:o prrelid:o prqual:t prattrs:S",
    ),
    (
        CATALOG_SCHEMA,
        "pg_range",
        "rngtypid:o rngsubtype:o rngmultitypid:o rngcollation:o rngsubopc:o rngcanonical:o rngsubdiff:o",
    ),
    (
        CATALOG_SCHEMA,
        "pg_rewrite",
        "oid:o rulename:n ev_class:o ev_type:c ev_enabled:c is_instead:b",
    ),
    (
        CATALOG_SCHEMA,
        "pg_rules",
        "schemaname:n tablename:n rulename:n definition:t",
    ),
    (
        CATALOG_SCHEMA,
        "pg_sequence",
        "seqrelid:o seqtypid:o seqstart:l seqincrement:l seqmax:l seqmin:l seqcache:l seqcycle:b",
    ),
    (
        CATALOG_SCHEMA,
        "pg_sequences",
        "schemaname:n sequencename:n sequenceowner:n data_type:t start_value:l min_value:l max_value:l increment_by:l cycle:b cache_size:l last_value:l",
    ),
    (
        CATALOG_SCHEMA,
        "pg_shdepend",
        "dbid:o classid:o objid:o objsubid:i refclassid:o refobjid:o deptype:c",
    ),
    (CATALOG_SCHEMA, "pg_shdescription", "objoid:o classoid:o description:t"),
    (
        CATALOG_SCHEMA,
        "pg_stat_activity",
        "datid:o datname:n pid:i usesysid:o usename:n application_name:t client_addr:t client_port:i backend_start:t xact_start:t query_start:t state_change:t wait_event_type:t wait_event:t state:t query:t backend_type:t",
    ),
    (
        CATALOG_SCHEMA,
        "pg_stat_user_tables",
        "relid:o schemaname:n relname:n seq_scan:l seq_tup_read:l idx_scan:l idx_tup_fetch:l n_tup_ins:l n_tup_upd:l n_tup_del:l n_live_tup:l n_dead_tup:l",
    ),
    (
        CATALOG_SCHEMA,
        "pg_stat_all_tables",
        "relid:o schemaname:n relname:n seq_scan:l seq_tup_read:l idx_scan:l idx_tup_fetch:l n_tup_ins:l n_tup_upd:l n_tup_del:l n_live_tup:l n_dead_tup:l",
    ),
    (
        CATALOG_SCHEMA,
        "pg_stat_database",
        "datid:o datname:n numbackends:i xact_commit:l xact_rollback:l blks_read:l blks_hit:l tup_returned:l tup_fetched:l tup_inserted:l tup_updated:l tup_deleted:l",
    ),
    (CATALOG_SCHEMA, "pg_stat_ssl", "pid:i ssl:b version:t cipher:t bits:i"),
    (
        CATALOG_SCHEMA,
        "pg_statistic_ext",
        "oid:o stxrelid:o stxname:n stxnamespace:o stxowner:o stxstattarget:i stxkeys:S stxkind:T stxexprs:t",
    ),
    (
        CATALOG_SCHEMA,
        "pg_stats",
        "schemaname:n tablename:n attname:n inherited:b null_frac:f avg_width:i n_distinct:f",
    ),
    (
        CATALOG_SCHEMA,
        "pg_subscription",
        "oid:o subdbid:o subname:n subowner:o subenabled:b",
    ),
    (
        CATALOG_SCHEMA,
        "pg_timezone_names",
        "name:t abbrev:t utc_offset:t is_dst:b",
    ),
    (
        CATALOG_SCHEMA,
        "pg_trigger",
        "oid:o tgrelid:o tgparentid:o tgname:n tgfoid:o tgtype:s tgenabled:c tgisinternal:b tgconstrrelid:o tgconstrindid:o tgconstraint:o tgdeferrable:b tginitdeferred:b tgnargs:s tgqual:t",
    ),
    (
        CATALOG_SCHEMA,
        "pg_user_mappings",
        "umid:o srvid:o srvname:n umuser:o usename:n umoptions:T",
    ),
    (
        INFORMATION_SCHEMA,
        "check_constraints",
        "constraint_catalog:n constraint_schema:n constraint_name:n check_clause:t",
    ),
    (
        INFORMATION_SCHEMA,
        "domains",
        "domain_catalog:n domain_schema:n domain_name:n data_type:t",
    ),
    (
        INFORMATION_SCHEMA,
        "element_types",
        "object_catalog:n object_schema:n object_name:n object_type:t collection_type_identifier:n data_type:t udt_schema:n udt_name:n",
    ),
    (
        INFORMATION_SCHEMA,
        "parameters",
        "specific_catalog:n specific_schema:n specific_name:n ordinal_position:i parameter_mode:t is_result:t parameter_name:n data_type:t udt_name:n",
    ),
    (
        INFORMATION_SCHEMA,
        "routine_privileges",
        "grantor:n grantee:n specific_catalog:n specific_schema:n specific_name:n routine_catalog:n routine_schema:n routine_name:n privilege_type:t is_grantable:t",
    ),
    (
        INFORMATION_SCHEMA,
        "routines",
        "specific_catalog:n specific_schema:n specific_name:n routine_catalog:n routine_schema:n routine_name:n routine_type:t data_type:t type_udt_name:n routine_definition:t external_language:t",
    ),
    (
        INFORMATION_SCHEMA,
        "sequences",
        "sequence_catalog:n sequence_schema:n sequence_name:n data_type:t start_value:t minimum_value:t maximum_value:t increment:t cycle_option:t",
    ),
    (
        INFORMATION_SCHEMA,
        "triggers",
        "trigger_catalog:n trigger_schema:n trigger_name:n event_manipulation:t event_object_schema:n event_object_table:n action_statement:t action_timing:t",
    ),
    (
        INFORMATION_SCHEMA,
        "view_table_usage",
        "view_catalog:n view_schema:n view_name:n table_catalog:n table_schema:n table_name:n",
    ),
];

/// Whether a catalog has no rows, whatever it is asked for.
pub(crate) fn is_empty(schema: &str, name: &str) -> bool {
    EMPTY
        .iter()
        .any(|(known_schema, known, _)| *known == name && *known_schema == schema)
}
