//! `pg_catalog` and `information_schema` as PostgreSQL 15 has them, about what a user may read: clients list schemas,
//! tables and columns by querying these.
//!
//! In reading order: [`cells`], of which tables in memory are made; [`tables`], the catalogs, with those that are [`empty`],
//! [`types_told`], [`constraints`] and the standard's [`information`] schema; [`functions`], which clients call over them;
//! [`rewrite`], which turns what they write into what DataFusion plans.

mod cells;
pub(crate) mod constraints;
mod empty;
pub(crate) mod functions;
mod information;
pub(crate) mod rewrite;
pub(crate) mod tables;
mod types_told;

use std::collections::BTreeMap;
use std::sync::Arc;

use casewatch_query::{Relation, Surroundings};

use self::constraints::Constraint;
use crate::settings::Settings;

pub(crate) const DATABASE: &str = "casewatch";
/// Who owns everything.
pub(crate) const OWNER: &str = "casewatch";
pub(crate) const OWNER_OID: i32 = 10;
pub(crate) const USER_OID: i32 = 16_384;
pub(crate) const DATABASE_OID: i32 = 16_385;
pub(crate) const CATALOG_SCHEMA: &str = "pg_catalog";
/// DataFusion keeps the name for tables of its own.
pub(crate) const INFORMATION_SCHEMA: &str = "pg_information_schema";

/// Of PostgreSQL's own catalogs that others refer to by number.
const SYSTEM_RELATIONS: [(&str, i32); 10] = [
    ("pg_type", 1247),
    ("pg_attribute", 1249),
    ("pg_proc", 1255),
    ("pg_class", 1259),
    ("pg_authid", 1260),
    ("pg_database", 1262),
    ("pg_namespace", 2615),
    ("pg_constraint", 2606),
    ("pg_description", 2609),
    ("pg_extension", 3079),
];

const FIRST_SCHEMA_OID: i32 = 16_400;
const FIRST_RELATION_OID: i32 = 17_000;

/// What one user may read, numbered.
#[derive(Debug)]
pub(crate) struct Named {
    /// By number.
    pub(crate) schemas: BTreeMap<i32, String>,
    /// By number, with the number of the schema.
    pub(crate) relations: BTreeMap<i32, (i32, Relation)>,
    pub(crate) constraints: Vec<Constraint>,
}

impl Named {
    pub(crate) fn new(relations: Vec<Relation>) -> Self {
        let mut schemas = BTreeMap::from([
            (11, CATALOG_SCHEMA.to_owned()),
            (2200, "public".to_owned()),
            (13_000, "information_schema".to_owned()),
        ]);
        let mut numbered = BTreeMap::new();
        for (oid, relation) in (FIRST_RELATION_OID..).zip(relations) {
            let known = schemas
                .iter()
                .find(|(_, name)| **name == relation.schema)
                .map(|(oid, _)| *oid);
            let schema = known.unwrap_or_else(|| {
                let next = FIRST_SCHEMA_OID + i32::try_from(schemas.len()).unwrap_or(0);
                schemas.insert(next, relation.schema.clone());
                next
            });
            numbered.insert(oid, (schema, relation));
        }
        Self {
            schemas,
            constraints: constraints::of(&numbered),
            relations: numbered,
        }
    }

    /// The number of a relation by its name, with its schema or without.
    pub(crate) fn relation_oid(&self, name: &str) -> Option<i32> {
        let plain = name.replace('"', "");
        let (schema, relation) = match plain.rsplit_once('.') {
            Some((schema, relation)) => (Some(schema), relation),
            None => (None, plain.as_str()),
        };
        let mut known = self.relations.iter();
        let found = known.find(|(_, (_, known))| known.name == relation && known.schema == schema.unwrap_or("public"));
        found.map(|(oid, _)| *oid).or_else(|| {
            let mut system = SYSTEM_RELATIONS.iter();
            let is_system = schema.is_none_or(|schema| schema == CATALOG_SCHEMA);
            system
                .find(|(name, _)| is_system && *name == relation)
                .map(|(_, oid)| *oid)
        })
    }

    /// As `::regclass` shows it: with the schema where that is needed.
    pub(crate) fn relation_name(&self, oid: i32) -> Option<String> {
        if let Some((_, relation)) = self.relations.get(&oid) {
            return Some(match relation.schema.as_str() {
                "public" => relation.name.clone(),
                schema => format!("{schema}.{}", relation.name),
            });
        }
        if let Some((index, _, _)) = self.indexes().find(|(key, _, _)| key.index == oid) {
            return Some(index.name.clone());
        }
        let mut system = SYSTEM_RELATIONS.iter();
        system
            .find(|(_, known)| *known == oid)
            .map(|(name, _)| (*name).to_owned())
    }
}

/// The catalogs of one user, which live as long as the queries and the users stay as they are.
#[derive(Debug)]
pub(crate) struct Catalog {
    pub(crate) named: Arc<Named>,
    tables: Vec<(&'static str, &'static str, Arc<dyn datafusion::catalog::TableProvider>)>,
}

impl Catalog {
    pub(crate) fn new(relations: Vec<Relation>, user: &str) -> Self {
        let named = Arc::new(Named::new(relations));
        Self {
            tables: tables::all(&named, user),
            named,
        }
    }

    /// With the functions, some of which tell about the connection.
    pub(crate) fn surroundings(&self, user: &str, pid: i32, settings: &Settings) -> Arc<Surroundings> {
        let mut tables = self.tables.clone();
        tables.push((CATALOG_SCHEMA, "pg_settings", tables::settings(settings)));
        Arc::new(Surroundings {
            tables,
            functions: functions::all(&self.named, user, pid, settings),
        })
    }
}
