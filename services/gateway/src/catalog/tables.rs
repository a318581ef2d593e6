//! The catalogs as tables in memory.

use std::sync::Arc;

use datafusion::catalog::TableProvider;

use super::cells::{Cell, NOTHING, row, table};
use super::constraints::{self, BTREE_OID};
use super::empty::{EMPTY, is_empty};
use super::types_told::{procedures, types};
use super::{
    CATALOG_SCHEMA, DATABASE, DATABASE_OID, INFORMATION_SCHEMA, Named, OWNER, OWNER_OID, USER_OID, information,
};
use crate::settings::Settings;
use crate::types::Described;

/// Whether PostgreSQL's catalog has a table of this name, which a statement may name without its schema.
pub(crate) fn is_catalog(name: &str) -> bool {
    name.starts_with("pg_") && (is_empty(CATALOG_SCHEMA, name) || FILLED.contains(&name))
}

const FILLED: [&str; 20] = [
    "pg_am",
    "pg_attribute",
    "pg_authid",
    "pg_class",
    "pg_collation",
    "pg_constraint",
    "pg_database",
    "pg_description",
    "pg_index",
    "pg_indexes",
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
            table(
                "oid:o amname:n amhandler:o amtype:c",
                &[row![2, "heap", 3, "t"], row![BTREE_OID, "btree", 330, "i"]],
            ),
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
        ("pg_constraint", constraints::constraints(named)),
        ("pg_database", databases()),
        ("pg_description", descriptions(named)),
        ("pg_index", constraints::indexes(named)),
        ("pg_indexes", constraints::listed_indexes(named)),
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
        ("columns", information::columns(named)),
        ("constraint_column_usage", constraints::constraint_columns(named)),
        ("key_column_usage", constraints::key_columns(named)),
        ("referential_constraints", constraints::referential_constraints(named)),
        ("table_constraints", constraints::information_constraints(named)),
        ("schemata", information::schemata(named)),
        ("tables", information::tables(named)),
        ("views", information::views(named)),
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
        ("table_privileges", information::privileges(named, user)),
        ("role_table_grants", information::privileges(named, user)),
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
    let mut rows: Vec<_> = named
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
                named.has_key(*oid),
                false,
                "p",
                kind,
                relation.columns.len(),
                0,
                false,
                named.is_referred_to_or_refers(*oid),
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
    rows.extend(named.indexes().map(|(key, schema, _)| {
        let (oid, columns) = (key.index, key.columns.len());
        let mut row = row![
            oid,
            key.name.as_str(),
            schema,
            0,
            0,
            OWNER_OID,
            BTREE_OID,
            oid,
            0,
            0,
            -1,
            0,
            0,
            false
        ];
        row.extend(row![
            false, "p", "i", columns, 0, false, false, false, false, false, true, "n", false
        ]);
        row.extend(row![0, 0, 0]);
        row
    }));
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
        .iter()
        .filter(|(_, (_, relation))| relation.is_view == views);
    let rows: Vec<_> = relations
        .map(|(oid, (_, relation))| match views {
            true => row![
                relation.schema.as_str(),
                relation.name.as_str(),
                OWNER,
                relation.definition.as_deref()
            ],
            false => row![
                relation.schema.as_str(),
                relation.name.as_str(),
                OWNER,
                NOTHING,
                named.has_key(*oid),
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

#[cfg(test)]
pub(crate) mod tests {
    use arrow::datatypes::DataType;

    use super::*;
    use casewatch_query::{Relation, RelationColumn};

    pub(crate) fn named() -> Named {
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
            definition: None,
        }])
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
