//! How statements are planned: one configuration for all, and `as_of()` that neither folds nor holds filters back.
//!
//! `as_of()` is a volatile function, so that no rule of the optimizer replaces it by its value while planning. But a
//! filter with a volatile function is not moved below a join, and nearly every filter of ours is on `as_of()`. So the
//! first rule of the optimizer replaces it by a scalar variable, which is neither folded nor volatile, and the last one
//! puts the function back. A scalar variable and nothing else, because any other expression that stands twice in a filter is
//! made a column, and arithmetic on it would be done row by row. For a person's session, whose plan runs once, the first rule writes the value itself.

use std::sync::Arc;

use datafusion::catalog::{
    CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider, TableProvider,
};
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan, ScalarUDF};
use datafusion::optimizer::Analyzer;
use datafusion::optimizer::optimizer::Optimizer;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use datafusion::prelude::SessionConfig;

use crate::functions::{ClockFunction, clock_functions};
use crate::moment::{Moment, MomentCell};
use crate::unfold::Unfold;

pub(crate) const CATALOG: &str = "casewatch";
pub(crate) const DEFAULT_SCHEMA: &str = "public";
/// Before the name of a function of the clock, its variable.
const VARIABLE: char = '@';

/// How a statement's `as_of()` resolves.
pub(crate) enum AsOfBinding {
    /// When the plan is executed: for plans that run over many cuts.
    AtExecution,
    /// Now: for a plan that runs once.
    Value(Arc<Moment>),
}

/// What statements see beside their own tables.
pub(crate) struct PlanningScope<'a> {
    pub(crate) runtime: &'a Arc<RuntimeEnv>,
    pub(crate) functions: &'a [Arc<ScalarUDF>],
    pub(crate) partitions: usize,
    pub(crate) batch_rows: usize,
}

pub(crate) fn session_state(scope: &PlanningScope<'_>, cell: &Arc<MomentCell>, binding: AsOfBinding) -> SessionState {
    let clock = clock_functions(cell);
    let mut rules = Optimizer::new().rules;
    let freeze = match binding {
        AsOfBinding::AtExecution => Freeze { value: None },
        AsOfBinding::Value(moment) => Freeze { value: Some(moment) },
    };
    rules.insert(0, Arc::new(freeze));
    rules.push(Arc::new(Thaw { clock: clock.clone() }));
    let mut analysis = Analyzer::new().rules;
    analysis.insert(0, Arc::new(Unfold));
    let mut state = SessionStateBuilder::new()
        .with_config(session_config(scope))
        .with_runtime_env(scope.runtime.clone())
        .with_default_features()
        .with_analyzer_rules(analysis)
        .with_optimizer_rules(rules)
        .build();
    let mut register = |function: &Arc<ScalarUDF>| {
        // The name may replace one of DataFusion's own, which is what is meant.
        let _ = datafusion::execution::FunctionRegistry::register_udf(&mut state, function.clone());
    };
    scope.functions.iter().chain(&clock).for_each(&mut register);
    state
}

fn session_config(scope: &PlanningScope<'_>) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_default_catalog_and_schema(CATALOG, DEFAULT_SCHEMA)
        .with_create_default_catalog_and_schema(true)
        .with_information_schema(true)
        .with_target_partitions(scope.partitions)
        .with_batch_size(scope.batch_rows);
    let options = config.options_mut();
    options.execution.collect_statistics = false;
    // What `timestamptz` is a type of, as every moment of ours.
    options.execution.time_zone = Some("UTC".to_owned());
    options.execution.parquet.schema_force_view_types = false;
    options.sql_parser.map_string_types_to_utf8view = false;
    options.optimizer.enable_dynamic_filter_pushdown = false;
    options.optimizer.enable_join_dynamic_filter_pushdown = false;
    options.optimizer.enable_topk_dynamic_filter_pushdown = false;
    options.optimizer.enable_aggregate_dynamic_filter_pushdown = false;
    config
}

/// Puts a table in a schema of the catalog, which is made when it is not there. One that is there stays: within a
/// statement a name means one thing.
pub(crate) fn register_table(
    state: &SessionState,
    schema: Option<&str>,
    name: &str,
    table: Arc<dyn TableProvider>,
) -> Result<()> {
    let catalog = match state.catalog_list().catalog(CATALOG) {
        Some(catalog) => catalog,
        None => {
            let catalog: Arc<dyn CatalogProvider> = Arc::new(MemoryCatalogProvider::new());
            state
                .catalog_list()
                .register_catalog(CATALOG.to_owned(), catalog.clone());
            catalog
        }
    };
    let schema_name = schema.unwrap_or(DEFAULT_SCHEMA);
    let schema = match catalog.schema(schema_name) {
        Some(schema) => schema,
        None => {
            let schema: Arc<dyn SchemaProvider> = Arc::new(MemorySchemaProvider::new());
            catalog.register_schema(schema_name, schema.clone())?;
            schema
        }
    };
    if !schema.table_exist(name) {
        schema.register_table(name.to_owned(), table)?;
    }
    Ok(())
}

/// Replaces the functions of the clock by variables, or by their values.
#[derive(Debug)]
struct Freeze {
    value: Option<Arc<Moment>>,
}

impl Freeze {
    fn freeze(&self, name: &str) -> Option<Expr> {
        let function = ClockFunction::named(name)?;
        Some(match &self.value {
            Some(moment) => Expr::Literal(function.at(moment), None),
            None => {
                let variable = format!("{VARIABLE}{name}");
                let field = arrow::datatypes::Field::new(&variable, function.data_type(), false);
                Expr::ScalarVariable(Arc::new(field), vec![variable])
            }
        })
    }
}

impl OptimizerRule for Freeze {
    fn name(&self) -> &str {
        "freeze_as_of"
    }

    fn rewrite(&self, plan: LogicalPlan, _config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        replace(plan, |expression| match &expression {
            Expr::ScalarFunction(function) => self.freeze(function.name()),
            _ => None,
        })
    }
}

/// Puts the functions of the clock back where their variables stand.
#[derive(Debug)]
struct Thaw {
    clock: Vec<Arc<ScalarUDF>>,
}

impl OptimizerRule for Thaw {
    fn name(&self) -> &str {
        "thaw_as_of"
    }

    fn rewrite(&self, plan: LogicalPlan, _config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        replace(plan, |expression| match expression {
            Expr::ScalarVariable(_, names) => {
                let name = names.first()?.strip_prefix(VARIABLE)?;
                let function = self.clock.iter().find(|function| function.name() == name)?;
                Some(Expr::ScalarFunction(ScalarFunction::new_udf(
                    function.clone(),
                    Vec::new(),
                )))
            }
            _ => None,
        })
    }
}

fn replace(plan: LogicalPlan, with: impl Fn(&Expr) -> Option<Expr>) -> Result<Transformed<LogicalPlan>> {
    plan.transform_up_with_subqueries(|node| {
        let names = NamePreserver::new(&node);
        node.map_expressions(|expression| {
            let name = names.save(&expression);
            let replaced = expression.transform_up(|expression| {
                Ok(match with(&expression) {
                    Some(replacement) => Transformed::yes(replacement),
                    None => Transformed::no(expression),
                })
            })?;
            Ok(replaced.update_data(|expression| name.restore(expression)))
        })
    })
}
