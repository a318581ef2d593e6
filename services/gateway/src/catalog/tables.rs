//! The catalogs as tables in memory.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float32Array, Int16Array, Int32Array, Int64Array, ListArray, RecordBatch, StringArray,
};
use arrow::datatypes::{DataType, Field, Int16Type, Int32Type, Schema};
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;

use super::{CATALOG_SCHEMA, DATABASE, DATABASE_OID, INFORMATION_SCHEMA, Named, OWNER, OWNER_OID, USER_OID};
use crate::settings::Settings;
use crate::types::{self, Described, TYPE_KEY, TYPES};

/// Catalogs that have no rows here, with the columns that clients join them by. A letter says the type: see [`kind`].
const EMPTY: &[(&str, &str, &str)] = &[
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
        "pg_constraint",
        "oid:o conname:n connamespace:o contype:c condeferrable:b condeferred:b convalidated:b conrelid:o contypid:o conindid:o conparentid:o confrelid:o confupdtype:c confdeltype:c confmatchtype:c conislocal:b coninhcount:i connoinherit:b conkey:S confkey:S conpfeqop:O conppeqop:O conffeqop:O conexclop:O conbin:t",
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
        "pg_index",
        "indexrelid:o indrelid:o indnatts:s indnkeyatts:s indisunique:b indisprimary:b indisexclusion:b indimmediate:b indisclustered:b indisvalid:b indcheckxmin:b indisready:b indislive:b indisreplident:b indkey:S indcollation:O indclass:O indoption:S indexprs:t indpred:t",
    ),
    (
        CATALOG_SCHEMA,
        "pg_indexes",
        "schemaname:n tablename:n indexname:n tablespace:n indexdef:t",
    ),
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
        "constraint_column_usage",
        "table_catalog:n table_schema:n table_name:n column_name:n constraint_catalog:n constraint_schema:n constraint_name:n",
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
        "key_column_usage",
        "constraint_catalog:n constraint_schema:n constraint_name:n table_catalog:n table_schema:n table_name:n column_name:n ordinal_position:i position_in_unique_constraint:i",
    ),
    (
        INFORMATION_SCHEMA,
        "parameters",
        "specific_catalog:n specific_schema:n specific_name:n ordinal_position:i parameter_mode:t is_result:t parameter_name:n data_type:t udt_name:n",
    ),
    (
        INFORMATION_SCHEMA,
        "referential_constraints",
        "constraint_catalog:n constraint_schema:n constraint_name:n unique_constraint_catalog:n unique_constraint_schema:n unique_constraint_name:n match_option:t update_rule:t delete_rule:t",
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
        "table_constraints",
        "constraint_catalog:n constraint_schema:n constraint_name:n table_catalog:n table_schema:n table_name:n constraint_type:t is_deferrable:t initially_deferred:t enforced:t",
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

/// Whether PostgreSQL's catalog has a table of this name, which a statement may name without its schema.
pub(crate) fn is_catalog(name: &str) -> bool {
    name.starts_with("pg_") && (is_empty(CATALOG_SCHEMA, name) || FILLED.contains(&name))
}

const FILLED: [&str; 17] = [
    "pg_am",
    "pg_attribute",
    "pg_authid",
    "pg_class",
    "pg_collation",
    "pg_database",
    "pg_description",
    "pg_language",
    "pg_namespace",
    "pg_proc",
    "pg_roles",
    "pg_settings",
    "pg_tables",
    "pg_tablespace",
    "pg_type",
    "pg_user",
    "pg_views",
];

/// A value of a row.
#[derive(Debug, Clone)]
enum Cell {
    Number(i64),
    Text(String),
    Yes(bool),
    None,
}

impl From<i32> for Cell {
    fn from(number: i32) -> Self {
        Self::Number(number.into())
    }
}

impl From<u32> for Cell {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<i16> for Cell {
    fn from(number: i16) -> Self {
        Self::Number(number.into())
    }
}

impl From<usize> for Cell {
    fn from(number: usize) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Cell {
    fn from(yes: bool) -> Self {
        Self::Yes(yes)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::None, Into::into)
    }
}

macro_rules! row {
    ($($value:expr),* $(,)?) => { vec![$(Cell::from($value)),*] };
}

const NOTHING: Option<&str> = None;

/// `o` oid, `i` int4, `s` int2, `l` int8, `f` float4, `b` bool, `n` name, `t` text, `c` "char", and arrays `T`, `S`, `O`.
fn kind(letter: &str) -> (DataType, Option<&'static str>) {
    let array = |item: DataType| DataType::List(Arc::new(Field::new("item", item, true)));
    match letter {
        "o" => (DataType::Int32, Some("oid")),
        "i" => (DataType::Int32, None),
        "s" => (DataType::Int16, None),
        "l" => (DataType::Int64, None),
        "f" => (DataType::Float32, None),
        "b" => (DataType::Boolean, None),
        "n" => (DataType::Utf8, Some("name")),
        "c" => (DataType::Utf8, Some("char")),
        "T" => (array(DataType::Utf8), None),
        "S" => (array(DataType::Int16), None),
        "O" => (array(DataType::Int32), None),
        _ => (DataType::Utf8, None),
    }
}

/// A table of such columns and rows. A row may be shorter than the columns: the rest is null.
fn table(columns: &str, rows: &[Vec<Cell>]) -> Arc<dyn TableProvider> {
    let mut fields = Vec::new();
    let mut arrays = Vec::new();
    for (place, column) in columns.split_whitespace().enumerate() {
        let (name, letter) = column.split_once(':').expect("a column is name:letter");
        let (data_type, known_as) = kind(letter);
        let mut field = Field::new(name, data_type.clone(), true);
        if let Some(known_as) = known_as {
            field = field.with_metadata(HashMap::from([(TYPE_KEY.to_owned(), known_as.to_owned())]));
        }
        fields.push(field);
        let cells = rows.iter().map(|row| row.get(place).unwrap_or(&Cell::None));
        arrays.push(array(&data_type, cells));
    }
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(schema.clone(), arrays).expect("columns are made of the schema's types");
    Arc::new(MemTable::try_new(schema, vec![vec![batch]]).expect("a batch has its own schema"))
}

fn array<'a>(data_type: &DataType, cells: impl ExactSizeIterator<Item = &'a Cell>) -> ArrayRef {
    let number = |cell: &Cell| match cell {
        Cell::Number(number) => Some(*number),
        _ => None,
    };
    match data_type {
        DataType::Int16 => Arc::new(
            cells
                .map(|cell| number(cell).and_then(|number| i16::try_from(number).ok()))
                .collect::<Int16Array>(),
        ),
        DataType::Int32 => Arc::new(
            cells
                .map(|cell| number(cell).and_then(|number| i32::try_from(number).ok()))
                .collect::<Int32Array>(),
        ),
        DataType::Int64 => Arc::new(cells.map(number).collect::<Int64Array>()),
        DataType::Float32 => Arc::new(
            cells
                .map(|cell| {
                    number(cell)
                        .and_then(|number| i16::try_from(number).ok())
                        .map(f32::from)
                })
                .collect::<Float32Array>(),
        ),
        DataType::Boolean => Arc::new(
            cells
                .map(|cell| match cell {
                    Cell::Yes(yes) => Some(*yes),
                    _ => None,
                })
                .collect::<BooleanArray>(),
        ),
        // No array has a value here.
        DataType::List(item) => {
            let nothing = vec![None::<Vec<Option<i16>>>; cells.len()];
            match item.data_type() {
                DataType::Int16 => Arc::new(ListArray::from_iter_primitive::<Int16Type, _, _>(nothing)),
                DataType::Int32 => Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
                    None::<
                        Vec<Option<i32>>,
                    >;
                    cells.len()
                ])),
                _ => arrow::array::new_null_array(data_type, cells.len()),
            }
        }
        _ => Arc::new(
            cells
                .map(|cell| match cell {
                    Cell::Text(text) => Some(text.as_str()),
                    _ => None,
                })
                .collect::<StringArray>(),
        ),
    }
}

type Registered = (&'static str, &'static str, Arc<dyn TableProvider>);

/// Every catalog but the settings.
pub(super) fn all(named: &Named, user: &str) -> Vec<Registered> {
    let mut tables: Vec<Registered> = EMPTY
        .iter()
        .map(|(schema, name, columns)| (*schema, *name, table(columns, &[])))
        .collect();
    let roles = roles(user);
    for (name, filled) in [
        (
            "pg_am",
            table("oid:o amname:n amhandler:o amtype:c", &[row![2, "heap", 3, "t"]]),
        ),
        ("pg_attribute", attributes(named)),
        ("pg_authid", roles.clone()),
        ("pg_class", classes(named)),
        (
            "pg_collation",
            table(
                "oid:o collname:n collnamespace:o collowner:o collprovider:c collisdeterministic:b collencoding:i collcollate:t collctype:t",
                &[row![100, "default", 11, OWNER_OID, "d", true, -1, NOTHING, NOTHING]],
            ),
        ),
        ("pg_database", databases()),
        ("pg_description", descriptions(named)),
        (
            "pg_language",
            table(
                "oid:o lanname:n lanowner:o lanispl:b lanpltrusted:b",
                &[
                    row![12, "internal", OWNER_OID, false, false],
                    row![14, "sql", OWNER_OID, false, true],
                ],
            ),
        ),
        ("pg_namespace", namespaces(named)),
        ("pg_proc", procedures()),
        ("pg_roles", roles),
        ("pg_tables", listed(named, false)),
        (
            "pg_tablespace",
            table(
                "oid:o spcname:n spcowner:o spcacl:T spcoptions:T",
                &[row![1663, "pg_default", OWNER_OID]],
            ),
        ),
        ("pg_type", types()),
        (
            "pg_user",
            table(
                "usename:n usesysid:o usecreatedb:b usesuper:b userepl:b usebypassrls:b passwd:t valuntil:t useconfig:T",
                &[row![user, USER_OID, false, false, false, false, "********"]],
            ),
        ),
        ("pg_views", listed(named, true)),
    ] {
        tables.push((CATALOG_SCHEMA, name, filled));
    }
    for (name, filled) in [
        ("columns", information_columns(named)),
        ("schemata", information_schemata(named)),
        ("tables", information_tables(named)),
        ("views", information_views(named)),
        (
            "information_schema_catalog_name",
            table("catalog_name:n", &[row![DATABASE]]),
        ),
        (
            "character_sets",
            table(
                "character_set_catalog:n character_set_schema:n character_set_name:n character_repertoire:n \
                 form_of_use:n default_collate_catalog:n default_collate_schema:n default_collate_name:n",
                &[row![
                    NOTHING,
                    NOTHING,
                    "UTF8",
                    "UCS",
                    "UTF8",
                    DATABASE,
                    CATALOG_SCHEMA,
                    "C.UTF-8"
                ]],
            ),
        ),
        ("enabled_roles", table("role_name:n", &[row![user]])),
        ("applicable_roles", table("grantee:n role_name:n is_grantable:t", &[])),
        ("table_privileges", privileges(named, user)),
        ("role_table_grants", privileges(named, user)),
    ] {
        tables.push((INFORMATION_SCHEMA, name, filled));
    }
    tables
}

fn namespaces(named: &Named) -> Arc<dyn TableProvider> {
    let rows: Vec<_> = named
        .schemas
        .iter()
        .map(|(oid, name)| row![*oid, name.as_str(), OWNER_OID])
        .collect();
    table("oid:o nspname:n nspowner:o nspacl:T", &rows)
}

fn classes(named: &Named) -> Arc<dyn TableProvider> {
    let columns = "oid:o relname:n relnamespace:o reltype:o reloftype:o relowner:o relam:o relfilenode:o \
                   reltablespace:o relpages:i reltuples:f relallvisible:i reltoastrelid:o relhasindex:b relisshared:b \
                   relpersistence:c relkind:c relnatts:s relchecks:s relhasrules:b relhastriggers:b relhassubclass:b \
                   relrowsecurity:b relforcerowsecurity:b relispopulated:b relreplident:c relispartition:b relrewrite:o \
                   relfrozenxid:i relminmxid:i relacl:T reloptions:T relpartbound:t";
    let rows: Vec<_> = named
        .relations
        .iter()
        .map(|(oid, (schema, relation))| {
            let (kind, method) = if relation.is_view { ("v", 0) } else { ("r", 2) };
            row![
                *oid,
                relation.name.as_str(),
                *schema,
                0,
                0,
                OWNER_OID,
                method,
                *oid,
                0,
                0,
                -1,
                0,
                0,
                false,
                false,
                "p",
                kind,
                relation.columns.len(),
                0,
                false,
                false,
                false,
                false,
                false,
                true,
                "n",
                false,
                0,
                0,
                0,
            ]
        })
        .collect();
    table(columns, &rows)
}

fn attributes(named: &Named) -> Arc<dyn TableProvider> {
    let columns = "attrelid:o attname:n atttypid:o attstattarget:i attlen:s attnum:s attndims:i attcacheoff:i \
                   atttypmod:i attbyval:b attstorage:c attalign:c attcompression:c attnotnull:b atthasdef:b \
                   atthasmissing:b attidentity:c attgenerated:c attisdropped:b attislocal:b attinhcount:i \
                   attcollation:o attacl:T attoptions:T attfdwoptions:T attmissingval:t";
    let mut rows = Vec::new();
    for (oid, (_, relation)) in &named.relations {
        for (place, column) in relation.columns.iter().enumerate() {
            let described = Described::of(&column.data_type);
            let collation = if described.element.category == "S" { 100 } else { 0 };
            rows.push(row![
                *oid,
                column.name.as_str(),
                described.oid(),
                -1,
                described.size(),
                place + 1,
                i32::from(described.is_array),
                -1,
                described.modifier,
                described.size() > 0,
                if described.size() > 0 { "p" } else { "x" },
                "i",
                "",
                !column.nullable,
                false,
                false,
                "",
                "",
                false,
                true,
                0,
                collation,
            ]);
        }
    }
    table(columns, &rows)
}

fn types() -> Arc<dyn TableProvider> {
    let columns = "oid:o typname:n typnamespace:o typowner:o typlen:s typbyval:b typtype:c typcategory:c \
                   typispreferred:b typisdefined:b typdelim:c typrelid:o typsubscript:o typelem:o typarray:o typinput:o \
                   typoutput:o typreceive:o typsend:o typmodin:o typmodout:o typanalyze:o typalign:c typstorage:c \
                   typnotnull:b typbasetype:o typtypmod:i typndims:i typcollation:o typdefault:t typacl:T";
    let mut rows = Vec::new();
    for known in TYPES {
        let kind = if known.category == "P" { "p" } else { "b" };
        let collation = if known.category == "S" { 100 } else { 0 };
        let (input, receive) = (procedure_oid("textin"), procedure_oid("textrecv"));
        rows.push(row![
            known.oid,
            known.name,
            11,
            OWNER_OID,
            known.size,
            known.size > 0,
            kind,
            known.category,
            false,
            true,
            ",",
            0,
            0,
            0,
            known.array_oid,
            input,
            input,
            receive,
            receive,
            0,
            0,
            0,
            "i",
            "p",
            false,
            0,
            -1,
            0,
            collation
        ]);
        if known.array_oid != 0 {
            let (input, receive) = (procedure_oid("array_in"), procedure_oid("array_recv"));
            rows.push(row![
                known.array_oid,
                format!("_{}", known.name),
                11,
                OWNER_OID,
                -1,
                false,
                "b",
                "A",
                false,
                true,
                ",",
                0,
                0,
                known.oid,
                0,
                input,
                input,
                receive,
                receive,
                0,
                0,
                0,
                "i",
                "x",
                false,
                0,
                -1,
                0,
                collation
            ]);
        }
    }
    table(columns, &rows)
}

const PROCEDURES: [(&str, i32); 4] = [
    ("textin", 46),
    ("array_in", 750),
    ("array_recv", 2400),
    ("textrecv", 2414),
];

/// As `'name'::regproc` gives it; 0 for one that is not there.
pub(super) fn procedure_oid(name: &str) -> i32 {
    PROCEDURES
        .iter()
        .find(|(known, _)| *known == name)
        .map_or(0, |(_, oid)| *oid)
}

fn procedures() -> Arc<dyn TableProvider> {
    let columns = "oid:o proname:n pronamespace:o proowner:o prolang:o procost:f prorows:f provariadic:o prosupport:o \
                   prokind:c prosecdef:b proleakproof:b proisstrict:b proretset:b provolatile:c proparallel:c \
                   pronargs:s pronargdefaults:s prorettype:o proargtypes:O proallargtypes:O proargmodes:T \
                   proargnames:T proargdefaults:t prosrc:t probin:t proconfig:T proacl:T";
    let rows = PROCEDURES.map(|(name, oid)| {
        row![
            oid,
            name,
            11,
            OWNER_OID,
            12,
            1,
            0,
            0,
            0,
            "f",
            false,
            false,
            true,
            false,
            "i",
            "s",
            1,
            0,
            types::TEXT.oid
        ]
    });
    table(columns, &rows)
}

fn descriptions(named: &Named) -> Arc<dyn TableProvider> {
    let mut rows = Vec::new();
    for (oid, (_, relation)) in &named.relations {
        if let Some(comment) = &relation.comment {
            rows.push(row![*oid, 1259, 0, comment.as_str()]);
        }
        for (place, column) in relation.columns.iter().enumerate() {
            if let Some(comment) = &column.comment {
                rows.push(row![*oid, 1259, place + 1, comment.as_str()]);
            }
        }
    }
    table("objoid:o classoid:o objsubid:i description:t", &rows)
}

fn databases() -> Arc<dyn TableProvider> {
    let columns = "oid:o datname:n datdba:o encoding:i datlocprovider:c datistemplate:b datallowconn:b datconnlimit:i \
                   datfrozenxid:i datminmxid:i dattablespace:o datcollate:t datctype:t daticulocale:t datcollversion:t \
                   datacl:T datlastsysoid:o";
    let row = row![
        DATABASE_OID,
        DATABASE,
        OWNER_OID,
        6,
        "c",
        false,
        true,
        -1,
        0,
        0,
        1663,
        "C",
        "C.UTF-8"
    ];
    table(columns, &[row])
}

/// The owner and the user; who else there is, is nobody's business.
fn roles(user: &str) -> Arc<dyn TableProvider> {
    let columns = "oid:o rolname:n rolsuper:b rolinherit:b rolcreaterole:b rolcreatedb:b rolcanlogin:b \
                   rolreplication:b rolconnlimit:i rolpassword:t rolvaliduntil:t rolbypassrls:b rolconfig:T";
    let mut rows = vec![row![
        OWNER_OID, OWNER, false, true, false, false, false, false, -1, "********", NOTHING, false
    ]];
    if user != OWNER {
        rows.push(row![
            USER_OID, user, false, true, false, false, true, false, -1, "********", NOTHING, false
        ]);
    }
    table(columns, &rows)
}

/// `pg_tables` or `pg_views`.
fn listed(named: &Named, views: bool) -> Arc<dyn TableProvider> {
    let relations = named
        .relations
        .values()
        .filter(|(_, relation)| relation.is_view == views);
    let rows: Vec<_> = relations
        .map(|(_, relation)| match views {
            true => row![relation.schema.as_str(), relation.name.as_str(), OWNER, NOTHING],
            false => row![
                relation.schema.as_str(),
                relation.name.as_str(),
                OWNER,
                NOTHING,
                false,
                false,
                false,
                false
            ],
        })
        .collect();
    match views {
        true => table("schemaname:n viewname:n viewowner:n definition:t", &rows),
        false => table(
            "schemaname:n tablename:n tableowner:n tablespace:n hasindexes:b hasrules:b hastriggers:b rowsecurity:b",
            &rows,
        ),
    }
}

pub(super) fn settings(settings: &Settings) -> Arc<dyn TableProvider> {
    let columns = "name:t setting:t unit:t category:t short_desc:t extra_desc:t context:t vartype:t source:t min_val:t \
                   max_val:t enumvals:T boot_val:t reset_val:t sourcefile:t sourceline:i pending_restart:b";
    let rows: Vec<_> = settings
        .all()
        .into_iter()
        .map(|(name, value)| {
            row![
                name,
                value,
                NOTHING,
                "Preset Options",
                NOTHING,
                NOTHING,
                "user",
                "string",
                "default",
                NOTHING,
                NOTHING,
                NOTHING,
                NOTHING,
                NOTHING,
                NOTHING,
                NOTHING,
                false
            ]
        })
        .collect();
    table(columns, &rows)
}

fn information_schemata(named: &Named) -> Arc<dyn TableProvider> {
    let columns = "catalog_name:n schema_name:n schema_owner:n default_character_set_catalog:n \
                   default_character_set_schema:n default_character_set_name:n sql_path:t";
    let rows: Vec<_> = named
        .schemas
        .values()
        .map(|name| row![DATABASE, name.as_str(), OWNER])
        .collect();
    table(columns, &rows)
}

fn information_tables(named: &Named) -> Arc<dyn TableProvider> {
    let columns = "table_catalog:n table_schema:n table_name:n table_type:t self_referencing_column_name:n \
                   reference_generation:t user_defined_type_catalog:n user_defined_type_schema:n \
                   user_defined_type_name:n is_insertable_into:t is_typed:t commit_action:t";
    let rows: Vec<_> = named
        .relations
        .values()
        .map(|(_, relation)| {
            let kind = if relation.is_view { "VIEW" } else { "BASE TABLE" };
            row![
                DATABASE,
                relation.schema.as_str(),
                relation.name.as_str(),
                kind,
                NOTHING,
                NOTHING,
                NOTHING,
                NOTHING,
                NOTHING,
                "NO",
                "NO"
            ]
        })
        .collect();
    table(columns, &rows)
}

fn information_views(named: &Named) -> Arc<dyn TableProvider> {
    let columns = "table_catalog:n table_schema:n table_name:n view_definition:t check_option:t is_updatable:t \
                   is_insertable_into:t is_trigger_updatable:t is_trigger_deletable:t is_trigger_insertable_into:t";
    let views = named.relations.values().filter(|(_, relation)| relation.is_view);
    let rows: Vec<_> = views
        .map(|(_, view)| {
            row![
                DATABASE,
                view.schema.as_str(),
                view.name.as_str(),
                NOTHING,
                "NONE",
                "NO",
                "NO",
                "NO",
                "NO",
                "NO"
            ]
        })
        .collect();
    table(columns, &rows)
}

fn privileges(named: &Named, user: &str) -> Arc<dyn TableProvider> {
    let columns = "grantor:n grantee:n table_catalog:n table_schema:n table_name:n privilege_type:t is_grantable:t \
                   with_hierarchy:t";
    let rows: Vec<_> = named
        .relations
        .values()
        .map(|(_, relation)| {
            let (schema, name) = (relation.schema.as_str(), relation.name.as_str());
            row![OWNER, user, DATABASE, schema, name, "SELECT", "NO", "NO"]
        })
        .collect();
    table(columns, &rows)
}

fn information_columns(named: &Named) -> Arc<dyn TableProvider> {
    let columns = "table_catalog:n table_schema:n table_name:n column_name:n ordinal_position:i column_default:t \
                   is_nullable:t data_type:t character_maximum_length:i character_octet_length:i numeric_precision:i \
                   numeric_precision_radix:i numeric_scale:i datetime_precision:i interval_type:t interval_precision:i \
                   character_set_catalog:n character_set_schema:n character_set_name:n collation_catalog:n \
                   collation_schema:n collation_name:n domain_catalog:n domain_schema:n domain_name:n udt_catalog:n \
                   udt_schema:n udt_name:n scope_catalog:n scope_schema:n scope_name:n maximum_cardinality:i \
                   dtd_identifier:n is_self_referencing:t is_identity:t identity_generation:t identity_start:t \
                   identity_increment:t identity_maximum:t identity_minimum:t identity_cycle:t is_generated:t \
                   generation_expression:t is_updatable:t";
    let mut rows = Vec::new();
    for (_, relation) in named.relations.values() {
        for (place, column) in relation.columns.iter().enumerate() {
            rows.push(information_column(relation, place + 1, column));
        }
    }
    table(columns, &rows)
}

fn information_column(
    relation: &casewatch_query::Relation,
    place: usize,
    column: &casewatch_query::RelationColumn,
) -> Vec<Cell> {
    let described = Described::of(&column.data_type);
    let element = described.element;
    let data_type = if described.is_array { "ARRAY" } else { element.sql_name };
    let udt_name = if described.is_array {
        format!("_{}", element.name)
    } else {
        element.name.to_owned()
    };
    let (precision, radix, scale): (Option<i32>, Option<i32>, Option<i32>) = match element.name {
        _ if described.is_array => (None, None, None),
        "int2" => (Some(16), Some(2), Some(0)),
        "int4" => (Some(32), Some(2), Some(0)),
        "int8" => (Some(64), Some(2), Some(0)),
        "float4" => (Some(24), Some(2), None),
        "float8" => (Some(53), Some(2), None),
        "numeric" if described.modifier >= 4 => {
            let packed = described.modifier - 4;
            (Some(packed >> 16), Some(10), Some(packed & 0xffff))
        }
        "numeric" => (None, Some(10), None),
        _ => (None, None, None),
    };
    let datetime: Option<i32> = match element.name {
        "date" => Some(0),
        "time" | "timestamp" | "timestamptz" | "interval" => Some(6),
        _ => None,
    };
    let mut cells = row![
        DATABASE,
        relation.schema.as_str(),
        relation.name.as_str(),
        column.name.as_str(),
        place,
        NOTHING,
        if column.nullable { "YES" } else { "NO" },
        data_type,
        NOTHING,
        (element.category == "S").then_some(1_073_741_824),
        precision,
        radix,
        scale,
        datetime,
    ];
    cells.extend(std::iter::repeat_n(Cell::None, 11));
    cells.extend(row![
        DATABASE,
        CATALOG_SCHEMA,
        udt_name,
        NOTHING,
        NOTHING,
        NOTHING,
        NOTHING,
        place.to_string(),
        "NO",
        "NO"
    ]);
    cells.extend(std::iter::repeat_n(Cell::None, 5));
    cells.extend(row!["NO", "NEVER", NOTHING, "NO"]);
    cells
}

#[cfg(test)]
mod tests {
    use super::*;
    use casewatch_query::{Relation, RelationColumn};

    fn named() -> Named {
        Named::new(vec![Relation {
            schema: "history".to_owned(),
            name: "things".to_owned(),
            is_view: false,
            comment: Some("Things.".to_owned()),
            columns: vec![RelationColumn {
                name: "price".to_owned(),
                data_type: DataType::Decimal128(12, 2),
                nullable: true,
                comment: Some("What it costs.".to_owned()),
            }],
            key: Vec::new(),
            references: Vec::new(),
        }])
    }

    #[tokio::test]
    async fn columns_are_told_in_the_words_of_the_standard() {
        let named = named();
        let context = datafusion::prelude::SessionContext::new();
        context.register_table("columns", information_columns(&named)).unwrap();
        let sql = "select data_type, numeric_precision, numeric_scale, udt_name, ordinal_position, is_updatable, \
                   is_generated, dtd_identifier from columns";
        let rows = context.sql(sql).await.unwrap().collect().await.unwrap();
        let shown = arrow::util::pretty::pretty_format_batches(&rows).unwrap().to_string();
        let row = shown
            .lines()
            .nth(3)
            .unwrap()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        assert_eq!(row, "| numeric | 12 | 2 | numeric | 1 | NO | NEVER | 1 |");
    }

    #[test]
    fn every_row_fits_its_columns_and_every_catalog_is_made() {
        let made = all(&named(), "anne");
        assert!(made.len() > 70, "{}", made.len());
        for name in FILLED.iter().filter(|name| **name != "pg_settings") {
            assert!(made.iter().any(|(_, made, _)| made == name), "{name}");
        }
        settings(&Settings::default());
    }
}
