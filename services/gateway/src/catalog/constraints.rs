//! Keys and references of tables, as constraints and indexes are told of. Nothing enforces them here: the sources do, and what
//! a foreign key names may not have been delivered, so those are told as not validated.

use std::collections::BTreeMap;
use std::sync::Arc;

use casewatch_query::Relation;
use datafusion::catalog::TableProvider;

use super::cells::{Cell, NOTHING, row, table};
use super::{DATABASE, Named};

const FIRST_INDEX_OID: i32 = 50_000;
const FIRST_CONSTRAINT_OID: i32 = 60_000;
/// Of the access method that indexes are told to have, since tools know no table without.
pub(super) const BTREE_OID: i32 = 403;

/// A primary key, with its index, or a foreign key.
#[derive(Debug)]
pub(crate) struct Constraint {
    pub(crate) oid: i32,
    pub(crate) name: String,
    /// The number of its relation.
    pub(crate) relation: i32,
    /// Places of its columns, from 1.
    pub(crate) columns: Vec<usize>,
    /// Of the primary key: its own, or the one that it refers to.
    pub(crate) index: i32,
    pub(crate) foreign: Option<Foreign>,
}

/// What a foreign key refers to.
#[derive(Debug)]
pub(crate) struct Foreign {
    pub(crate) relation: i32,
    pub(crate) columns: Vec<usize>,
    /// Of the primary key there.
    pub(crate) key: String,
}

/// The constraints of relations, by number. A reference to what is not among them is left out.
pub(super) fn of(relations: &BTreeMap<i32, (i32, Relation)>) -> Vec<Constraint> {
    let place = |relation: &Relation, name: &str| {
        let place = relation.columns.iter().position(|column| column.name == name);
        place.map(|place| place + 1)
    };
    let keyed = relations.iter().filter(|(_, (_, relation))| !relation.key.is_empty());
    let mut constraints = Vec::new();
    for (number, (oid, (_, relation))) in (0..).zip(keyed) {
        let columns: Option<Vec<usize>> = relation.key.iter().map(|name| place(relation, name)).collect();
        constraints.extend(columns.map(|columns| Constraint {
            oid: FIRST_CONSTRAINT_OID + number,
            name: format!("{}_pkey", relation.name),
            relation: *oid,
            columns,
            index: FIRST_INDEX_OID + number,
            foreign: None,
        }));
    }
    let first_foreign = FIRST_CONSTRAINT_OID + i32::try_from(constraints.len()).unwrap_or(0);
    let references = relations.iter().flat_map(|(oid, (schema, relation))| {
        let references = relation.references.iter();
        references.map(move |(column, table)| (*oid, *schema, relation, column, table))
    });
    let foreign: Vec<_> = references
        .filter_map(|(oid, schema, relation, column, table)| {
            let mut others = relations.iter();
            let (other, _) = others.find(|(_, (of, other))| *of == schema && other.name == *table)?;
            // A reference is one column, so it cannot name a key of several.
            let key = constraints
                .iter()
                .find(|key| key.relation == *other && key.columns.len() == 1)?;
            Some((
                oid,
                format!("{}_{column}_fkey", relation.name),
                place(relation, column)?,
                key,
            ))
        })
        .map(|(relation, name, column, key)| Constraint {
            oid: 0,
            name,
            relation,
            columns: vec![column],
            index: key.index,
            foreign: Some(Foreign {
                relation: key.relation,
                columns: key.columns.clone(),
                key: key.name.clone(),
            }),
        })
        .collect();
    for (oid, constraint) in (first_foreign..).zip(foreign) {
        constraints.push(Constraint { oid, ..constraint });
    }
    constraints
}

impl Named {
    fn primary_keys(&self) -> impl Iterator<Item = &Constraint> {
        self.constraints
            .iter()
            .filter(|constraint| constraint.foreign.is_none())
    }

    /// The primary keys with their relations and the numbers of these' schemas.
    pub(super) fn indexes(&self) -> impl Iterator<Item = (&Constraint, i32, &Relation)> {
        self.primary_keys().filter_map(move |key| {
            let (schema, relation) = self.relations.get(&key.relation)?;
            Some((key, *schema, relation))
        })
    }

    pub(super) fn has_key(&self, relation: i32) -> bool {
        self.primary_keys().any(|key| key.relation == relation)
    }

    /// Whether a relation refers to others, or others to it.
    pub(super) fn is_referred_to_or_refers(&self, relation: i32) -> bool {
        self.constraints.iter().any(|constraint| {
            let foreign = constraint.foreign.as_ref();
            foreign.is_some_and(|foreign| foreign.relation == relation || constraint.relation == relation)
        })
    }

    fn column_names(&self, relation: i32, places: &[usize]) -> Vec<&str> {
        let columns = self.relations.get(&relation).map(|(_, relation)| &relation.columns);
        let name = |place: &usize| columns?.get(place.checked_sub(1)?).map(|column| column.name.as_str());
        places.iter().filter_map(name).collect()
    }

    /// As `pg_get_constraintdef` writes it.
    pub(super) fn constraint_definition(&self, oid: i32) -> Option<String> {
        let constraint = self.constraints.iter().find(|constraint| constraint.oid == oid)?;
        let columns = self.column_names(constraint.relation, &constraint.columns).join(", ");
        let Some(foreign) = &constraint.foreign else {
            return Some(format!("PRIMARY KEY ({columns})"));
        };
        let table = self.relation_name(foreign.relation)?;
        let referred = self.column_names(foreign.relation, &foreign.columns).join(", ");
        Some(format!(
            "FOREIGN KEY ({columns}) REFERENCES {table}({referred}) NOT VALID"
        ))
    }

    /// As `pg_get_indexdef` writes it: the whole, or one of its columns, which are counted from 1.
    pub(super) fn index_definition(&self, oid: i32, column: usize) -> Option<String> {
        let (key, _, relation) = self.indexes().find(|(key, _, _)| key.index == oid)?;
        let columns = self.column_names(key.relation, &key.columns);
        if let Some(place) = column.checked_sub(1) {
            return columns.get(place).map(|name| (*name).to_owned());
        }
        let (name, schema, table) = (&key.name, &relation.schema, &relation.name);
        let columns = columns.join(", ");
        Some(format!(
            "CREATE UNIQUE INDEX {name} ON {schema}.{table} USING btree ({columns})"
        ))
    }

    /// Each column of each constraint: the constraint, its place within it from 1, its schema, table and name.
    fn constrained_columns(&self) -> impl Iterator<Item = (&Constraint, usize, &str, &str, &str)> {
        self.constraints.iter().flat_map(move |constraint| {
            let columns = self.column_names(constraint.relation, &constraint.columns).into_iter();
            let relation = self.relations.get(&constraint.relation).into_iter();
            relation.flat_map(move |(_, relation)| {
                let (schema, table) = (relation.schema.as_str(), relation.name.as_str());
                let columns = columns.clone().enumerate();
                columns.map(move |(place, column)| (constraint, place + 1, schema, table, column))
            })
        })
    }
}

pub(super) fn constraints(named: &Named) -> Arc<dyn TableProvider> {
    let columns = "oid:o conname:n connamespace:o contype:c condeferrable:b condeferred:b convalidated:b conrelid:o \
                   contypid:o conindid:o conparentid:o confrelid:o confupdtype:c confdeltype:c confmatchtype:c \
                   conislocal:b coninhcount:i connoinherit:b conkey:S confkey:S conpfeqop:O conppeqop:O conffeqop:O \
                   confdelsetcols:S conexclop:O conbin:t";
    let rows = named.constraints.iter().map(|constraint| {
        let schema = named.relations.get(&constraint.relation).map(|(schema, _)| *schema);
        let foreign = constraint.foreign.as_ref();
        let action = if foreign.is_some() { "a" } else { " " };
        row![
            constraint.oid,
            constraint.name.as_str(),
            schema,
            if foreign.is_some() { "f" } else { "p" },
            false,
            false,
            foreign.is_none(),
            constraint.relation,
            0,
            constraint.index,
            0,
            foreign.map_or(0, |foreign| foreign.relation),
            action,
            action,
            if foreign.is_some() { "s" } else { " " },
            true,
            0,
            true,
            Cell::Numbers(constraint.columns.clone()),
            foreign.map(|foreign| foreign.columns.clone()).map(Cell::Numbers),
        ]
    });
    table(columns, &rows.collect::<Vec<_>>())
}

pub(super) fn indexes(named: &Named) -> Arc<dyn TableProvider> {
    let columns = "indexrelid:o indrelid:o indnatts:s indnkeyatts:s indisunique:b indnullsnotdistinct:b indisprimary:b \
                   indisexclusion:b indimmediate:b indisclustered:b indisvalid:b indcheckxmin:b indisready:b indislive:b \
                   indisreplident:b indkey:S indcollation:O indclass:O indoption:S indexprs:t indpred:t";
    let rows = named.indexes().map(|(key, _, _)| {
        let count = key.columns.len();
        row![
            key.index,
            key.relation,
            count,
            count,
            true,
            false,
            true,
            false,
            true,
            false,
            true,
            false,
            true,
            true,
            false,
            Cell::Numbers(key.columns.clone()),
            Cell::Numbers(vec![0; count]),
            Cell::Numbers(vec![0; count]),
            Cell::Numbers(vec![0; count]),
        ]
    });
    table(columns, &rows.collect::<Vec<_>>())
}

/// `pg_indexes`.
pub(super) fn listed_indexes(named: &Named) -> Arc<dyn TableProvider> {
    let rows = named.indexes().map(|(key, _, relation)| {
        let (schema, table) = (relation.schema.as_str(), relation.name.as_str());
        let definition = named.index_definition(key.index, 0);
        row![schema, table, key.name.as_str(), NOTHING, definition]
    });
    let columns = "schemaname:n tablename:n indexname:n tablespace:n indexdef:t";
    table(columns, &rows.collect::<Vec<_>>())
}

pub(super) fn information_constraints(named: &Named) -> Arc<dyn TableProvider> {
    let columns = "constraint_catalog:n constraint_schema:n constraint_name:n table_catalog:n table_schema:n table_name:n \
                   constraint_type:t is_deferrable:t initially_deferred:t enforced:t nulls_distinct:t";
    let rows = named.constraints.iter().filter_map(|constraint| {
        let (_, relation) = named.relations.get(&constraint.relation)?;
        let (schema, table) = (relation.schema.as_str(), relation.name.as_str());
        let kind = if constraint.foreign.is_some() {
            "FOREIGN KEY"
        } else {
            "PRIMARY KEY"
        };
        let name = constraint.name.as_str();
        Some(row![
            DATABASE, schema, name, DATABASE, schema, table, kind, "NO", "NO", "NO"
        ])
    });
    table(columns, &rows.collect::<Vec<_>>())
}

pub(super) fn key_columns(named: &Named) -> Arc<dyn TableProvider> {
    let columns = "constraint_catalog:n constraint_schema:n constraint_name:n table_catalog:n table_schema:n table_name:n \
                   column_name:n ordinal_position:i position_in_unique_constraint:i";
    let rows = named
        .constrained_columns()
        .map(|(constraint, place, schema, table, column)| {
            let (name, in_key) = (constraint.name.as_str(), constraint.foreign.as_ref().map(|_| place));
            row![DATABASE, schema, name, DATABASE, schema, table, column, place, in_key]
        });
    table(columns, &rows.collect::<Vec<_>>())
}

pub(super) fn referential_constraints(named: &Named) -> Arc<dyn TableProvider> {
    let columns = "constraint_catalog:n constraint_schema:n constraint_name:n unique_constraint_catalog:n \
                   unique_constraint_schema:n unique_constraint_name:n match_option:t update_rule:t delete_rule:t";
    let rows = named.constraints.iter().filter_map(|constraint| {
        let foreign = constraint.foreign.as_ref()?;
        let (_, relation) = named.relations.get(&constraint.relation)?;
        let (_, referred) = named.relations.get(&foreign.relation)?;
        Some(row![
            DATABASE,
            relation.schema.as_str(),
            constraint.name.as_str(),
            DATABASE,
            referred.schema.as_str(),
            foreign.key.as_str(),
            "NONE",
            "NO ACTION",
            "NO ACTION",
        ])
    });
    table(columns, &rows.collect::<Vec<_>>())
}

/// Columns that a constraint speaks of: of a foreign key those that it refers to.
pub(super) fn constraint_columns(named: &Named) -> Arc<dyn TableProvider> {
    let columns = "table_catalog:n table_schema:n table_name:n column_name:n constraint_catalog:n constraint_schema:n \
                   constraint_name:n";
    let mut rows = Vec::new();
    for constraint in &named.constraints {
        let (of, places) = match &constraint.foreign {
            Some(foreign) => (foreign.relation, &foreign.columns),
            None => (constraint.relation, &constraint.columns),
        };
        let Some((_, relation)) = named.relations.get(&of) else {
            continue;
        };
        let (schema, table) = (relation.schema.as_str(), relation.name.as_str());
        for column in named.column_names(of, places) {
            rows.push(row![
                DATABASE,
                schema,
                table,
                column,
                DATABASE,
                schema,
                constraint.name.as_str()
            ]);
        }
    }
    table(columns, &rows)
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::DataType;
    use arrow::util::pretty::pretty_format_batches;
    use casewatch_query::RelationColumn;
    use datafusion::prelude::{DataFrame, SessionConfig, SessionContext};
    use datafusion::sql::parser::Statement as AnyStatement;
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;
    use crate::catalog::Catalog;
    use crate::catalog::rewrite::rewrite;
    use crate::settings::Settings;

    fn relation(name: &str, columns: &[&str], key: &[&str], references: &[(&str, &str)]) -> Relation {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        Relation {
            schema: "public".to_owned(),
            name: name.to_owned(),
            is_view: key.is_empty(),
            comment: None,
            columns: owned(columns)
                .into_iter()
                .map(|name| RelationColumn {
                    name,
                    data_type: DataType::Utf8,
                    nullable: true,
                    comment: None,
                })
                .collect(),
            key: owned(key),
            references: references
                .iter()
                .map(|(column, table)| ((*column).to_owned(), (*table).to_owned()))
                .collect(),
            definition: key.is_empty().then(|| "select name from wards".to_owned()),
        }
    }

    /// Beds of wards: each is told from others by two columns, and refers to a ward, and to a house that may not be seen.
    fn catalog() -> Catalog {
        let relations = vec![
            relation(
                "beds",
                &["note", "number", "ward", "house"],
                &["ward", "number"],
                &[("ward", "wards"), ("house", "houses")],
            ),
            relation("names", &["name"], &[], &[]),
            relation("wards", &["name"], &["name"], &[]),
        ];
        Catalog::new(relations, "anne")
    }

    /// The values of the answer, a row a line.
    async fn rows(sql: &str) -> Vec<String> {
        let catalog = catalog();
        let config = SessionConfig::new().with_default_catalog_and_schema("casewatch", "public");
        let context = SessionContext::new_with_config(config);
        let surroundings = catalog.surroundings("anne", 1, &Settings::default());
        let database = context.catalog("casewatch").unwrap();
        for (schema, name, table) in &surroundings.tables {
            let of = || database.schema(schema);
            if of().is_none() {
                let made = Arc::new(datafusion::catalog::MemorySchemaProvider::new());
                database.register_schema(schema, made).unwrap();
            }
            of().unwrap().register_table((*name).to_owned(), table.clone()).unwrap();
        }
        for function in &surroundings.functions {
            context.register_udf(function.as_ref().clone());
        }
        let mut statement = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap().remove(0);
        rewrite(&mut statement, &catalog.named)
            .map_err(|failure| failure.message)
            .unwrap();
        let state = context.state();
        let plan = state.statement_to_plan(AnyStatement::Statement(Box::new(statement)));
        let plan = plan.await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let batches = DataFrame::new(state, plan).collect().await;
        let batches = batches.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let shown = pretty_format_batches(&batches).unwrap().to_string();
        let lines = shown.lines().filter(|line| line.starts_with('|')).skip(1);
        lines
            .map(|line| {
                let values = line.trim_matches('|').split('|').map(str::trim);
                values.collect::<Vec<_>>().join(" ")
            })
            .collect()
    }

    #[tokio::test]
    async fn keys_are_told_as_clients_over_jdbc_ask() {
        let key = "select t.name, t.place, t.of from (select a.attname as name, a.attnum as number, ci.relname as of, \
                   (information_schema._pg_expandarray(i.indkey)).n as place, \
                   information_schema._pg_expandarray(i.indkey) as keys \
                   from pg_catalog.pg_class ct join pg_catalog.pg_attribute a on (ct.oid = a.attrelid) \
                   join pg_catalog.pg_index i on (a.attrelid = i.indrelid) \
                   join pg_catalog.pg_class ci on (ci.oid = i.indexrelid) \
                   where true and ct.relname = 'beds' and i.indisprimary) t where t.number = (t.keys).x order by t.place";
        assert_eq!(rows(key).await, ["ward 1 beds_pkey", "number 2 beds_pkey"]);
        let foreign = "select con.conname, fka.attname, pkc.relname, pka.attname, pos.n, pkic.relname \
                       from pg_catalog.pg_class pkc, pg_catalog.pg_attribute pka, pg_catalog.pg_class fkc, \
                       pg_catalog.pg_attribute fka, pg_catalog.pg_constraint con, pg_catalog.generate_series(1, 32) pos(n), \
                       pg_catalog.pg_class pkic \
                       where pkc.oid = pka.attrelid and pka.attnum = con.confkey[pos.n] and con.confrelid = pkc.oid \
                       and fkc.oid = fka.attrelid and fka.attnum = con.conkey[pos.n] and con.conrelid = fkc.oid \
                       and con.contype = 'f' and (pkic.relkind = 'i' or pkic.relkind = 'I') and pkic.oid = con.conindid";
        assert_eq!(rows(foreign).await, ["beds_ward_fkey ward wards name 1 wards_pkey"]);
    }

    #[tokio::test]
    async fn keys_are_told_as_sqlalchemy_asks() {
        let sql = "select attr.conname, array_agg(cast(attr.attname as text) order by attr.ord) as cols \
                   from (select con.conrelid, con.conname, con.ord, pg_catalog.pg_attribute.attname \
                   from pg_catalog.pg_attribute join (select pg_catalog.pg_constraint.conrelid, \
                   pg_catalog.pg_constraint.conname, unnest(pg_catalog.pg_index.indkey) as attnum, \
                   generate_subscripts(pg_catalog.pg_index.indkey, 1) as ord from pg_catalog.pg_constraint \
                   join pg_catalog.pg_index on pg_catalog.pg_constraint.conindid = pg_catalog.pg_index.indexrelid \
                   where pg_catalog.pg_constraint.contype = 'p') as con \
                   on pg_catalog.pg_attribute.attnum = con.attnum and pg_catalog.pg_attribute.attrelid = con.conrelid) as attr \
                   group by attr.conrelid, attr.conname order by attr.conname";
        assert_eq!(rows(sql).await, ["beds_pkey [ward, number]", "wards_pkey [name]"]);
        let indexes = "select indexrelid, unnest(indkey) as attnum from pg_catalog.pg_index where not indisprimary";
        assert!(rows(indexes).await.is_empty(), "there are indexes of keys alone");
    }

    #[tokio::test]
    async fn definitions_are_written_as_postgresql_writes_them() {
        let constraints = "select pg_get_constraintdef(oid, true) from pg_constraint order by oid";
        let expected = [
            "PRIMARY KEY (ward, number)",
            "PRIMARY KEY (name)",
            "FOREIGN KEY (ward) REFERENCES wards(name) NOT VALID",
        ];
        assert_eq!(rows(constraints).await, expected);
        let indexes = "select indexdef from pg_indexes where tablename = 'beds'";
        assert_eq!(
            rows(indexes).await,
            ["CREATE UNIQUE INDEX beds_pkey ON public.beds USING btree (ward, number)"]
        );
        let column = "select pg_get_indexdef(indexrelid, 2, true) from pg_index order by indexrelid limit 1";
        assert_eq!(rows(column).await, ["number"]);
        for view in [
            "select pg_get_viewdef('names'::regclass, true)",
            "select definition from pg_views where viewname = 'names'",
            "select view_definition from information_schema.views where table_name = 'names'",
        ] {
            assert_eq!(rows(view).await, ["select name from wards"], "{view}");
        }
    }

    #[tokio::test]
    async fn the_standards_lists_agree() {
        let keys = "select c.table_name, c.constraint_type, k.column_name, k.ordinal_position, \
                    k.position_in_unique_constraint from information_schema.table_constraints c \
                    join information_schema.key_column_usage k on k.constraint_name = c.constraint_name order by 1, 2, 4";
        let expected = [
            "beds FOREIGN KEY ward 1 1",
            "beds PRIMARY KEY ward 1 ",
            "beds PRIMARY KEY number 2 ",
            "wards PRIMARY KEY name 1 ",
        ];
        assert_eq!(rows(keys).await, expected);
        let references = "select r.constraint_name, r.unique_constraint_name, u.table_name, u.column_name \
                          from information_schema.referential_constraints r \
                          join information_schema.constraint_column_usage u on u.constraint_name = r.constraint_name";
        assert_eq!(rows(references).await, ["beds_ward_fkey wards_pkey wards name"]);
    }
}
