//! Which stored columns a column of a query derives from: the ground of the rule that nothing private reaches a label.
//!
//! Conservative where it is not sure: a node or expression it does not know derives from everything below it. Three
//! things end a derivation, for they carry no identifier: a condition (one bit), a count, and a rank.

use std::collections::{BTreeMap, BTreeSet};

use casewatch_contract::{Contract, Table, system};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, JoinType, TableReference};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::utils::grouping_set_to_exprlist;
use datafusion::logical_expr::{
    Aggregate, Expr, ExprSchemable, Join, LogicalPlan, Operator, RecursiveQuery, Subquery, TableScan,
    WindowFunctionDefinition,
};

/// Schemas that hold no row of the contract: files of this repository, and accounts of casewatch's own work.
const OPERATIONAL_SCHEMAS: [&str; 4] = ["information_schema", "lake", "metrics", "reference"];

/// A column of a table that a plan scans: `table` as SQL names it, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    pub table: String,
    pub column: String,
}

/// The origins of one column.
pub type Origins = BTreeSet<Origin>;

/// The columns of a view and where each comes from.
pub type ViewLineage = BTreeMap<String, Origins>;

/// Lineage of plans over views whose own lineage is known.
#[derive(Debug, Default, Clone)]
pub struct Lineages {
    views: BTreeMap<String, ViewLineage>,
}

impl Lineages {
    /// Remembers the columns of the view that SQL calls `name`.
    pub fn add_view(&mut self, name: &str, plan: &LogicalPlan) -> Result<(), DataFusionError> {
        let columns = self.columns(plan)?;
        self.views.insert(name.to_lowercase(), columns);
        Ok(())
    }

    /// The origins of each output column of `plan`, by name.
    pub fn columns(&self, plan: &LogicalPlan) -> Result<ViewLineage, DataFusionError> {
        let origins = Scope {
            lineages: self,
            working_tables: BTreeMap::new(),
        }
        .plan(plan)?;
        let names = plan.schema().fields().iter().map(|field| field.name().clone());
        let mut columns = ViewLineage::new();
        for (name, origins) in names.zip(origins) {
            columns.entry(name).or_default().extend(origins);
        }
        Ok(columns)
    }
}

/// Tables, views and functions that a plan scans, subqueries included, as SQL names them in lower case.
pub fn scanned_tables(plan: &LogicalPlan) -> BTreeSet<String> {
    let mut tables = BTreeSet::new();
    let walked = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            tables.insert(table_key(&scan.table_name));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    debug_assert!(walked.is_ok(), "the visitor above returns no error");
    tables
}

/// Why a stored column may not reach a label, or None where it may.
pub fn forbidden(contract: &Contract, origin: &Origin) -> Option<String> {
    let bare = origin.table.rsplit('.').next().unwrap_or(&origin.table);
    let named = origin.table == bare || origin.table == format!("history.{bare}");
    let schema = origin.table.split_once('.').map_or("", |(schema, _)| schema);
    if OPERATIONAL_SCHEMAS.contains(&schema) {
        return None;
    }
    match contract.table(bare).filter(|_| named) {
        Some(table) => forbidden_column(contract, table, &origin.column),
        // A way of reading tables that is not known here, such as a table function: judged by the column's name.
        None => contract.tables().find_map(|table| {
            let is_identifier = is_key_or_reference(table, &origin.column)
                || table
                    .column(&origin.column)
                    .is_some_and(|column| column.privacy.is_private());
            let reason = forbidden_column(contract, table, &origin.column);
            if is_identifier { reason } else { None }
        }),
    }
}

fn forbidden_column(contract: &Contract, table: &Table, column: &str) -> Option<String> {
    if contract.may_label(table, column) {
        return None;
    }
    let name = format!("{}.{column}", table.name);
    let what = match table.column(column) {
        None if system::is_system(column) => "is a column of casewatch's own",
        None => "is no column of the contract",
        Some(found) if found.privacy.is_private() => "is private",
        Some(_) if is_key_or_reference(table, column) => "identifies a row of a table that is not label_safe",
        Some(_) => "is not label_safe",
    };
    Some(format!("{name} {what}"))
}

fn is_key_or_reference(table: &Table, column: &str) -> bool {
    let Some(position) = table.columns.iter().position(|candidate| candidate.name == column) else {
        return false;
    };
    table.key.contains(&position) || table.references.iter().any(|reference| reference.column == position)
}

/// `schema.table` or `table`, in lower case: the catalog is always ours.
fn table_key(table: &TableReference) -> String {
    match table.schema() {
        None | Some("public") => table.table().to_lowercase(),
        Some(schema) => format!("{}.{}", schema.to_lowercase(), table.table().to_lowercase()),
    }
}

struct Scope<'a> {
    lineages: &'a Lineages,
    /// Origins of the columns of recursive queries around this place.
    working_tables: BTreeMap<String, Vec<Origins>>,
}

impl Scope<'_> {
    /// The origins of each output column, in order.
    fn plan(&self, plan: &LogicalPlan) -> Result<Vec<Origins>, DataFusionError> {
        match plan {
            LogicalPlan::TableScan(scan) => Ok(self.scan(scan)),
            LogicalPlan::Projection(projection) => self.expressions(&projection.expr, &projection.input),
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate),
            LogicalPlan::Window(window) => {
                let mut columns = self.plan(&window.input)?;
                columns.extend(self.expressions(&window.window_expr, &window.input)?);
                Ok(columns)
            }
            LogicalPlan::Join(join) => self.join(join),
            LogicalPlan::Union(union) => {
                let mut columns = vec![Origins::new(); union.schema.fields().len()];
                for input in &union.inputs {
                    merge(&mut columns, self.plan(input)?);
                }
                Ok(columns)
            }
            LogicalPlan::RecursiveQuery(query) => self.recursive(query),
            LogicalPlan::Filter(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Limit(_)
            | LogicalPlan::Repartition(_)
            | LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::Subquery(_)
            | LogicalPlan::Distinct(datafusion::logical_expr::Distinct::All(_)) => self.plan(only_input(plan)),
            LogicalPlan::EmptyRelation(empty) => Ok(vec![Origins::new(); empty.schema.fields().len()]),
            LogicalPlan::Values(values) => Ok(vec![Origins::new(); values.schema.fields().len()]),
            other => self.everything_below(other),
        }
    }

    fn scan(&self, scan: &TableScan) -> Vec<Origins> {
        let key = table_key(&scan.table_name);
        if let Some(columns) = self.working_tables.get(&key) {
            let picked = scan.projection.clone().unwrap_or_else(|| (0..columns.len()).collect());
            return picked
                .into_iter()
                .map(|index| columns.get(index).cloned().unwrap_or_default())
                .collect();
        }
        let view = self.lineages.views.get(&key);
        let origins_of = |column: &str| match view {
            Some(view) => view.get(column).cloned().unwrap_or_default(),
            None => Origins::from([Origin {
                table: key.clone(),
                column: column.to_owned(),
            }]),
        };
        scan.projected_schema
            .fields()
            .iter()
            .map(|field| origins_of(field.name()))
            .collect()
    }

    fn aggregate(&self, aggregate: &Aggregate) -> Result<Vec<Origins>, DataFusionError> {
        let groups: Vec<Expr> = grouping_set_to_exprlist(&aggregate.group_expr)?
            .into_iter()
            .cloned()
            .collect();
        let mut columns = self.expressions(&groups, &aggregate.input)?;
        if matches!(aggregate.group_expr.first(), Some(Expr::GroupingSet(_))) {
            columns.push(Origins::new());
        }
        columns.extend(self.expressions(&aggregate.aggr_expr, &aggregate.input)?);
        Ok(columns)
    }

    fn join(&self, join: &Join) -> Result<Vec<Origins>, DataFusionError> {
        let (left, right) = (self.plan(&join.left)?, self.plan(&join.right)?);
        Ok(match join.join_type {
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => [left, right].concat(),
            JoinType::LeftSemi | JoinType::LeftAnti => left,
            JoinType::RightSemi | JoinType::RightAnti => right,
            JoinType::LeftMark => [left, vec![Origins::new()]].concat(),
            JoinType::RightMark => [right, vec![Origins::new()]].concat(),
        })
    }

    /// Grows the working table's origins until another round adds none.
    fn recursive(&self, query: &RecursiveQuery) -> Result<Vec<Origins>, DataFusionError> {
        let mut columns = self.plan(&query.static_term)?;
        loop {
            let mut working_tables = self.working_tables.clone();
            working_tables.insert(query.name.to_lowercase(), columns.clone());
            let round = Scope {
                lineages: self.lineages,
                working_tables,
            }
            .plan(&query.recursive_term)?;
            let before = columns.clone();
            merge(&mut columns, round);
            if columns == before {
                return Ok(columns);
            }
        }
    }

    fn everything_below(&self, plan: &LogicalPlan) -> Result<Vec<Origins>, DataFusionError> {
        let mut all = Origins::new();
        for input in plan.inputs() {
            all.extend(self.plan(input)?.into_iter().flatten());
        }
        Ok(vec![all; plan.schema().fields().len()])
    }

    fn expressions(&self, expressions: &[Expr], input: &LogicalPlan) -> Result<Vec<Origins>, DataFusionError> {
        let columns = self.plan(input)?;
        expressions
            .iter()
            .map(|expression| self.expression(expression, input.schema(), &columns))
            .collect()
    }

    fn expression(&self, expression: &Expr, schema: &DFSchema, input: &[Origins]) -> Result<Origins, DataFusionError> {
        if is_condition(expression, schema) {
            return Ok(Origins::new());
        }
        let mut origins = Origins::new();
        match expression {
            Expr::Column(column) => match schema.maybe_index_of_column(column) {
                Some(index) => origins.extend(input[index].iter().cloned()),
                None => origins.extend(input.iter().flatten().cloned()),
            },
            Expr::AggregateFunction(call) if carries_no_identifier(call.func.name()) => {}
            Expr::AggregateFunction(call) => {
                self.all(&call.params.args, schema, input, &mut origins)?;
            }
            Expr::WindowFunction(call) => {
                let name = match &call.fun {
                    WindowFunctionDefinition::AggregateUDF(function) => function.name(),
                    WindowFunctionDefinition::WindowUDF(function) => function.name(),
                };
                if !carries_no_identifier(name) {
                    self.all(&call.params.args, schema, input, &mut origins)?;
                }
            }
            // The results; which one is taken is a condition.
            Expr::Case(case) => {
                let results = case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
                for result in results {
                    origins.extend(self.expression(result, schema, input)?);
                }
            }
            Expr::ScalarSubquery(Subquery {
                subquery,
                outer_ref_columns,
                ..
            }) => {
                origins.extend(self.plan(subquery)?.into_iter().next().unwrap_or_default());
                for outer in outer_ref_columns {
                    let Expr::OuterReferenceColumn(_, column) = outer else {
                        continue;
                    };
                    origins.extend(self.expression(&Expr::Column(column.clone()), schema, input)?);
                }
            }
            // Added by the query around, which knows the column.
            Expr::OuterReferenceColumn(..) => {}
            other => {
                other.apply_children(|child| {
                    origins.extend(self.expression(child, schema, input)?);
                    Ok(TreeNodeRecursion::Continue)
                })?;
            }
        }
        Ok(origins)
    }

    fn all(
        &self,
        expressions: &[Expr],
        schema: &DFSchema,
        input: &[Origins],
        origins: &mut Origins,
    ) -> Result<(), DataFusionError> {
        for expression in expressions {
            origins.extend(self.expression(expression, schema, input)?);
        }
        Ok(())
    }
}

fn only_input(plan: &LogicalPlan) -> &LogicalPlan {
    match plan {
        LogicalPlan::Subquery(subquery) => &subquery.subquery,
        _ => plan
            .inputs()
            .first()
            .expect("filters, sorts, limits, aliases and DISTINCT have one input"),
    }
}

fn merge(columns: &mut [Origins], more: Vec<Origins>) {
    for (column, origins) in columns.iter_mut().zip(more) {
        column.extend(origins);
    }
}

/// True or false: one bit tells nobody apart.
fn is_condition(expression: &Expr, schema: &DFSchema) -> bool {
    match expression {
        Expr::Not(_)
        | Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::Like(_)
        | Expr::SimilarTo(_)
        | Expr::Between(_)
        | Expr::IsTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotTrue(_)
        | Expr::IsNotFalse(_)
        | Expr::IsNotUnknown(_)
        | Expr::InList(_)
        | Expr::InSubquery(_)
        | Expr::Exists(_)
        | Expr::SetComparison(_) => true,
        Expr::BinaryExpr(binary) => {
            matches!(
                binary.op,
                Operator::Eq
                    | Operator::NotEq
                    | Operator::Lt
                    | Operator::LtEq
                    | Operator::Gt
                    | Operator::GtEq
                    | Operator::And
                    | Operator::Or
                    | Operator::IsDistinctFrom
                    | Operator::IsNotDistinctFrom
            )
        }
        other => other
            .get_type(schema)
            .is_ok_and(|data_type| data_type == DataType::Boolean),
    }
}

fn carries_no_identifier(function: &str) -> bool {
    matches!(
        function,
        "count" | "approx_distinct" | "row_number" | "rank" | "dense_rank" | "percent_rank" | "cume_dist" | "ntile"
    )
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use datafusion::datasource::MemTable;
    use datafusion::prelude::SessionContext;

    use super::*;

    pub(crate) fn contract() -> Contract {
        Contract::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas")).unwrap()
    }

    fn context() -> SessionContext {
        let context = SessionContext::new();
        for table in contract().tables() {
            let empty = MemTable::try_new(table.schema(), vec![vec![]]).unwrap();
            context.register_table(&*table.name, Arc::new(empty)).unwrap();
        }
        context
    }

    /// Why the column `label` of the query may not be a label.
    async fn refusals(sql: &str) -> Vec<String> {
        let plan = context().state().create_logical_plan(sql).await.unwrap();
        let columns = Lineages::default().columns(&plan).unwrap();
        let contract = contract();
        columns["label"]
            .iter()
            .filter_map(|origin| forbidden(&contract, origin))
            .collect()
    }

    #[tokio::test]
    async fn an_authority_a_team_and_a_closed_list_may_be_labels() {
        for sql in [
            "select authority as label from cases",
            "select team_id as label from cases",
            "select t.name as label from cases c join teams t on t.team_id = c.team_id",
            "select service as label, count(*) from teams group by service",
            "select 'literal' as label from cases",
            "select upper(kind) as label from plans union all select 'none' from cases",
        ] {
            assert_eq!(refusals(sql).await, Vec::<String>::new(), "{sql}");
        }
    }

    #[tokio::test]
    async fn identifiers_and_private_columns_may_not_whatever_wraps_them() {
        for (sql, reason) in [
            ("select child_id as label from cases", "cases.child_id is private"),
            ("select case_id as label from cases", "identifies a row"),
            (
                "select worker_id as label from allocations",
                "allocations.worker_id identifies a row",
            ),
            (
                "select concat('x', substr(case_id, 1, 3)) as label from cases",
                "cases.case_id",
            ),
            (
                "select max(worker_id) as label from allocations group by case_id",
                "allocations.worker_id",
            ),
            (
                "select case when true then child_id else 'x' end as label from cases",
                "cases.child_id",
            ),
            (
                "select label from (select w.worker_id as label from workers w) x order by 1 limit 3",
                "workers.worker_id",
            ),
            (
                "with a as (select case_id as i from cases) select i as label from a group by i",
                "cases.case_id",
            ),
            (
                "select 'a' as label from cases union all select case_id from plans",
                "plans.case_id",
            ),
            (
                "select first_value(worker_id) over (partition by case_id) as label from allocations",
                "worker_id",
            ),
            (
                "select lag(team_id, 1, case_id) over (order by case_id) as label from cases",
                "cases.case_id",
            ),
            (
                "select (select max(worker_id) from workers) as label from cases",
                "workers.worker_id",
            ),
            (
                "select (select max(t.name) || c.case_id from teams t where t.team_id = c.team_id) as label from cases c",
                "cases.case_id",
            ),
            (
                "select cast(birth_month as varchar) as label from children",
                "children.birth_month is private",
            ),
            (
                "select end_reason as label from plans",
                "plans.end_reason is not label_safe",
            ),
        ] {
            let refused = refusals(sql).await;
            assert!(refused.iter().any(|found| found.contains(reason)), "{sql}: {refused:?}");
        }
    }

    #[tokio::test]
    async fn conditions_counts_and_ranks_carry_no_identifier() {
        for sql in [
            "select case when worker_id is null then 'none' else 'held' end as label from allocations",
            "select case when n > 20 then 'over' else 'under' end as label \
             from (select count(distinct child_id) as n from cases group by team_id) x",
            "select case when birth_month < date '2010-01-01' then 'older' else 'younger' end as label from children",
            "select label from (select authority as label, row_number() over (partition by child_id) as r from cases) x \
             where r = 1",
            "select first_value(team_id order by case_id) as label from cases group by child_id",
            "select authority as label from cases where case_id in (select case_id from plans)",
        ] {
            assert_eq!(refusals(sql).await, Vec::<String>::new(), "{sql}");
        }
    }

    #[tokio::test]
    async fn recursion_is_followed_to_its_end() {
        let sql = "with recursive up as (select team_id as a, name as label from teams \
                   union all select label as x, a as y from up) select label from up";
        assert_eq!(refusals(sql).await, Vec::<String>::new());
        let sql = "with recursive up as (select case_id as a, primary_need as b, authority as label from cases \
                   union all select a as x, a as y, b as z from up) select label from up";
        assert!(refusals(sql).await.iter().any(|found| found.contains("cases.case_id")));
    }

    #[tokio::test]
    async fn a_view_passes_on_what_its_columns_derive_from() {
        let context = context();
        let view = "select case_id as reference, authority from cases";
        let plan = context.state().create_logical_plan(view).await.unwrap();
        let mut lineages = Lineages::default();
        lineages.add_view("open_cases", &plan).unwrap();
        let schema = Arc::new(plan.schema().as_arrow().clone());
        context
            .register_table("open_cases", Arc::new(MemTable::try_new(schema, vec![vec![]]).unwrap()))
            .unwrap();
        let over = context
            .state()
            .create_logical_plan("select reference as label from open_cases")
            .await
            .unwrap();
        let origins = &lineages.columns(&over).unwrap()["label"];
        assert_eq!(
            origins.iter().next().unwrap(),
            &Origin {
                table: "cases".into(),
                column: "case_id".into()
            }
        );
        assert_eq!(scanned_tables(&over), BTreeSet::from(["open_cases".to_owned()]));
    }

    #[test]
    fn a_table_read_by_an_unknown_way_is_judged_by_its_columns_names() {
        let origin = |table: &str, column: &str| Origin {
            table: table.into(),
            column: column.into(),
        };
        assert!(forbidden(&contract(), &origin("history.cases", "case_id")).is_some());
        assert!(forbidden(&contract(), &origin("at()", "child_id")).is_some());
        assert!(forbidden(&contract(), &origin("reference.bank_holidays", "title")).is_none());
        assert!(forbidden(&contract(), &origin("lake.commits", "table")).is_none());
    }
}
