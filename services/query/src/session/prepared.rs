//! Statements that come parsed and with parameters, and lists of what a session may name: for clients with a protocol
//! and a dialect of their own.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use arrow::datatypes::{DataType, Field, SchemaRef};
use casewatch_contract::{RecordedAt, Table};
use datafusion::catalog::TableProvider;
use datafusion::common::ParamValues;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::ScalarUDF;
use datafusion::sql::parser::Statement;

use super::{Answer, Session};
use crate::access::PSEUDONYM_OF;
use crate::error::QueryError;
use crate::guard::{self, Request};
use crate::limits::Limits;
use crate::moment::{Moment, MomentCell};
use crate::planning::{AsOfBinding, CATALOG, register_table};

/// Tables and functions that a session's statements see beside the engine's own, such as the catalog that a client
/// expects. A name that the engine has stays the engine's.
#[derive(Debug, Default)]
pub struct Surroundings {
    /// Schema, name, and the table.
    pub tables: Vec<(&'static str, &'static str, Arc<dyn TableProvider>)>,
    pub functions: Vec<Arc<ScalarUDF>>,
}

impl Surroundings {
    pub(super) fn register(&self, state: &mut SessionState) -> Result<(), QueryError> {
        for (schema, name, table) in &self.tables {
            register_table(state, Some(schema), name, table.clone())?;
        }
        for function in &self.functions {
            state.register_udf(function.clone())?;
        }
        Ok(())
    }
}

/// What a statement takes and gives, told without running it.
#[derive(Debug, Clone)]
pub struct Description {
    pub schema: SchemaRef,
    /// By number, from 1: `$1` is the first. None where the statement leaves open what it is.
    pub parameters: BTreeMap<usize, Option<DataType>>,
}

/// A table or view that a session may name.
#[derive(Debug, Clone)]
pub struct Relation {
    pub schema: String,
    pub name: String,
    pub is_view: bool,
    pub comment: Option<String>,
    pub columns: Vec<RelationColumn>,
    /// Names of the columns that tell its rows apart.
    pub key: Vec<String>,
    /// A column, and the table whose key it names.
    pub references: Vec<(String, String)>,
    /// The SQL of a view.
    pub definition: Option<String>,
}

#[derive(Debug, Clone)]
pub struct RelationColumn {
    pub name: String,
    pub data_type: DataType,
    pub nullable: bool,
    pub comment: Option<String>,
}

impl Session {
    /// From now on statements see these names, too.
    pub fn surrounded_by(mut self, surroundings: Arc<Surroundings>) -> Self {
        self.surroundings = Some(surroundings);
        self
    }

    /// From now on statements are held to these bounds instead of the engine's; memory of all statements together stays
    /// as the engine has it.
    pub fn limited_to(mut self, limits: Limits) -> Self {
        let role_rows = self.grant.as_ref().and_then(|grant| grant.role().most_rows);
        self.most_rows = limits.session_rows.min(role_rows.unwrap_or(usize::MAX));
        self.limits = limits;
        self
    }

    /// Says why the next statement is asked, as `SET casewatch.reason` does.
    pub fn because(self, reason: Option<String>) -> Self {
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = reason;
        self
    }

    /// Runs a statement of SQL with values for its parameters.
    ///
    /// # Errors
    /// A statement that does more than read, is not there twice, or fails.
    pub async fn sql_with(&self, sql: &str, parameters: ParamValues) -> Result<Answer, QueryError> {
        let Request::Read(statement) = guard::parse(sql)? else {
            return self.sql(sql).await;
        };
        self.read(*statement, false, Some(parameters)).await
    }

    /// Runs a query, or the explanation of one, that somebody else parsed.
    ///
    /// # Errors
    /// As [`Session::sql_with`].
    pub async fn run(&self, statement: Statement) -> Result<Answer, QueryError> {
        match guard::check(statement)? {
            Request::Read(statement) => self.read(*statement, false, None).await,
            Request::Describe(statement) => self.read(*statement, true, None).await,
            Request::Set { name, .. } | Request::Show { name } => Err(QueryError::Setting { name }),
        }
    }

    /// What a statement takes and gives. Nothing is read.
    ///
    /// # Errors
    /// As [`Session::sql_with`], as far as planning goes.
    pub async fn describe(&self, statement: Statement) -> Result<Description, QueryError> {
        let (Request::Read(statement) | Request::Describe(statement)) = guard::check(statement)? else {
            return Err(QueryError::NotReading {
                statement: "a setting".to_owned(),
            });
        };
        let plan = self.plan_only(*statement).await?;
        let mut parameters = BTreeMap::new();
        for (name, data_type) in plan.get_parameter_types()? {
            if let Ok(number) = name.trim_start_matches('$').parse() {
                parameters.insert(number, data_type);
            }
        }
        Ok(Description {
            schema: Arc::new(plan.schema().as_arrow().clone()),
            parameters,
        })
    }

    /// Every table and view that the session may name, but its surroundings.
    ///
    /// # Errors
    /// A view that cannot be planned.
    pub async fn relations(&self) -> Result<Vec<Relation>, QueryError> {
        let moment = Arc::new(Moment::nothing());
        let cell = Arc::new(MomentCell::default());
        let mut state = self.shared.session_state(&cell, AsOfBinding::Value(moment))?;
        let references = self.shared.all_references();
        let at = self.shared.at_function(RecordedAt(0), None, None);
        let cut = self.cuts.borrow().clone();
        self.name(&mut state, at, &references, (&cut, &cell, &Arc::default()))
            .await?;
        let Some(catalog) = state.catalog_list().catalog(CATALOG) else {
            return Ok(Vec::new());
        };
        let mut relations = Vec::new();
        for schema_name in catalog.schema_names() {
            let Some(schema) = catalog.schema(&schema_name) else {
                continue;
            };
            for name in schema.table_names() {
                let may_be_named = self
                    .grant
                    .as_ref()
                    .is_none_or(|grant| grant.reads(Some(&schema_name), &name));
                if let Some(table) = schema.table(&name).await?.filter(|_| may_be_named) {
                    relations.push(self.relation(&schema_name, &name, table.as_ref()));
                }
            }
        }
        relations.sort_by(|one, other| (&one.schema, &one.name).cmp(&(&other.schema, &other.name)));
        Ok(relations)
    }

    fn relation(&self, schema: &str, name: &str, provider: &dyn TableProvider) -> Relation {
        let is_present = schema == crate::planning::DEFAULT_SCHEMA;
        let described = match is_present || schema == "history" {
            true => self.shared.contract.table(name),
            false => None,
        };
        let view = self.shared.directory.views.iter().find(|view| {
            let (in_schema, view_name) = (view.schema.as_deref(), view.name.as_str());
            view_name == name && in_schema.unwrap_or(crate::planning::DEFAULT_SCHEMA) == schema
        });
        let columns = provider.schema();
        let columns = columns.fields().iter().map(|field| RelationColumn {
            name: field.name().clone(),
            data_type: field.data_type().clone(),
            nullable: field.is_nullable(),
            comment: comment(described, field),
        });
        let columns: Vec<_> = columns.collect();
        let keyed = described.filter(|_| is_present);
        Relation {
            schema: schema.to_owned(),
            name: name.to_owned(),
            is_view: view.is_some(),
            comment: match (described, view) {
                (Some(table), _) if is_present => Some(table.doc.clone()),
                (Some(table), _) => Some(format!("Every change of {} ever recorded. {}", table.name, table.doc)),
                (None, Some(view)) => Some(format!("{}. {}", view.row, view.why)),
                (None, None) => None,
            },
            key: keyed.map_or_else(Vec::new, |table| {
                table.key_columns().map(|column| column.name.clone()).collect()
            }),
            references: keyed.map_or_else(Vec::new, |table| {
                let references = table.references.iter();
                references
                    .map(|reference| {
                        (
                            table.columns[reference.column].name.clone(),
                            reference.table.to_string(),
                        )
                    })
                    .collect()
            }),
            definition: view.map(|view| view.sql.clone()),
            columns,
        }
    }
}

/// What a column means, and that its values are others than the source's where they are.
fn comment(described: Option<&Arc<Table>>, field: &Field) -> Option<String> {
    let doc = described
        .and_then(|table| table.column(field.name()))
        .map(|column| column.doc.as_str());
    match field.metadata().get(PSEUDONYM_OF) {
        None => doc.map(str::to_owned),
        Some(column) if column == field.name() => Some(format!(
            "{} Shown as a pseudonym.",
            doc.unwrap_or("A reference to another system.")
        )),
        Some(column) => Some(format!("What others are shown in place of {column}.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Clock, Engine, EngineConfig};
    use arrow::array::AsArray;
    use arrow::datatypes::Int64Type;
    use casewatch_contract::Contract;
    use casewatch_live::Cut;
    use datafusion::common::ScalarValue;
    use datafusion::sql::parser::DFParser;
    use tokio::sync::watch;

    async fn session() -> Session {
        let queries = tempfile::tempdir().unwrap();
        std::fs::create_dir(queries.path().join("views")).unwrap();
        let view = "-- name: numbers\n-- row: a number\n-- why: To count with.\nselect 1 as one, 'a' as letter\n";
        std::fs::write(queries.path().join("views/numbers.sql"), view).unwrap();
        let config = EngineConfig {
            contract: Arc::new(Contract::new(Vec::new()).unwrap()),
            lake: None,
            tail: None,
            cuts: watch::channel(Arc::new(Cut::empty())).1,
            queries: queries.path().to_owned(),
            limits: Limits::default(),
            clock: Clock::Feed,
            references: None,
        };
        Engine::new(config).await.unwrap().session(None, None)
    }

    fn parsed(sql: &str) -> Statement {
        DFParser::parse_sql(sql).unwrap().pop_front().unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_statement_says_what_it_takes_and_runs_with_it() {
        let session = session().await;
        let sql = "select one + 1 as two from numbers where letter = $1 and one < $2";
        let described = session.describe(parsed(sql)).await.unwrap();
        let types = BTreeMap::from([(1, Some(DataType::Utf8)), (2, Some(DataType::Int64))]);
        assert_eq!(described.parameters, types);
        assert_eq!(described.schema.field(0).name(), "two");
        let count = async |letter: &str| {
            let values = ParamValues::from(vec![ScalarValue::from(letter), ScalarValue::from(5_i64)]);
            let answer = session.sql_with(sql, values).await.unwrap();
            let rows = answer.collect().await.unwrap();
            rows.iter()
                .flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec())
                .collect::<Vec<_>>()
        };
        assert_eq!(count("a").await, [2]);
        assert_eq!(count("b").await, Vec::<i64>::new());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_may_be_named_is_listed_with_what_it_means() {
        let relations = session().await.relations().await.unwrap();
        let view = relations.iter().find(|relation| relation.name == "numbers").unwrap();
        assert!(view.is_view);
        assert_eq!(view.schema, "public");
        assert_eq!(view.comment.as_deref(), Some("a number. To count with."));
        let columns: Vec<_> = view.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(columns, ["one", "letter"]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn writing_is_refused_in_whatever_form_it_comes() {
        let session = session().await;
        let refused = session.run(parsed("create table x as select 1")).await;
        assert!(matches!(refused, Err(QueryError::NotReading { .. })), "{refused:?}");
        let refused = session.describe(parsed("insert into numbers values (1)")).await;
        assert!(matches!(refused, Err(QueryError::NotReading { .. })), "{refused:?}");
    }
}
