//! The present once more, by plain SQL over history: a second opinion on the fold, which shares no code with it.
//!
//! RULES 9 to 12 as one statement a table. A source's *floor* is its last truncation or the start of its last complete
//! snapshot, and its rows below that do not exist. Of what stands, the highest `_seq` of a key is the key's row, unless
//! it is a delete. A value that a row left out is that of the newest version before it that did not, and nothing where
//! a delete lies between.
//!
//! Sorting all of history is dear beside folding it: this is for proving, not for serving.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{Int64Type, SchemaRef, TimestampMicrosecondType};
use casewatch_contract::{Offset, PartitionId, RecordedAt, Table, system};
use casewatch_lake::is_file_gone;
use casewatch_live::{Present, present_schema};
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::error::QueryError;
use crate::history::{HistoryReader, HistorySource, HistoryTable};

/// Hexadecimal digits of `_seq` that are its offset; and of one without a source's position: epoch and offset.
const OFFSET_DIGITS: usize = 16;
const DIGITS_WITHOUT_POSITION: usize = 8 + OFFSET_DIGITS;

/// A table as plain SQL over its history gives it.
#[derive(Debug, Clone)]
pub struct PlainTable {
    pub present: Present,
    /// Whether it ever had a row, which is when it counts as supplied.
    pub ever_had_a_row: bool,
    /// The highest recorded time, no later than five minutes after its row was read; none without a row.
    pub newest: Option<RecordedAt>,
}

impl PlainTable {
    /// The table as the rows of `source` below `positions` give it: at the same place in every partition where a fold
    /// stopped. Sorting goes to disk beyond `memory_bytes`.
    ///
    /// # Errors
    /// History that cannot be read, or too little room to sort it.
    pub async fn compute(
        source: &Arc<dyn HistorySource>,
        table: &Arc<Table>,
        positions: &BTreeMap<PartitionId, Offset>,
        memory_bytes: usize,
    ) -> Result<Self, QueryError> {
        let history = History::open(source, table, positions, memory_bytes).await?;
        let totals = history.rows(&history.totals_sql()).await?;
        let totals = totals.first().filter(|totals| totals.num_rows() == 1);
        let of = |name: &str| totals.and_then(|totals| totals.column_by_name(name));
        let ever_had_a_row = of("_rows").is_some_and(|rows| rows.as_primitive::<Int64Type>().value(0) > 0);
        let newest = of("_newest").filter(|newest| newest.is_valid(0)).map(|newest| {
            let newest = newest.as_primitive::<TimestampMicrosecondType>();
            RecordedAt(newest.value(0))
        });
        let unset = history.columns_left_out().await?;
        let schema = present_schema(table);
        let rows = history.rows(&history.present_sql(&schema, &unset)).await?;
        let rows = rows.iter().filter(|batch| batch.num_rows() > 0);
        let batches = rows.map(|batch| conform(batch, &schema)).collect::<Result<_, _>>()?;
        Ok(Self {
            present: Present::new(schema, batches, 0),
            ever_had_a_row,
            newest,
        })
    }
}

fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, DataFusionError> {
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns
        .map(|(column, field)| cast(column, field.data_type()))
        .collect::<Result<_, _>>()?;
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}

/// The history of one table as the table `history` of a session of its own.
struct History {
    context: SessionContext,
    table: Arc<Table>,
    /// What keeps to the rows below the positions.
    bound: String,
}

impl History {
    async fn open(
        source: &Arc<dyn HistorySource>,
        table: &Arc<Table>,
        positions: &BTreeMap<PartitionId, Offset>,
        memory_bytes: usize,
    ) -> Result<Self, QueryError> {
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(memory_bytes)))
            .build_arc()?;
        let mut config = SessionConfig::new();
        config.options_mut().sql_parser.map_string_types_to_utf8view = false;
        config.options_mut().execution.parquet.schema_force_view_types = false;
        let context = SessionContext::new_with_config_rt(config, runtime);
        let fed_by = source.pin(table).await?.map(|snapshot| snapshot.positions);
        let reader = HistoryReader {
            source: Some(source.clone()),
            tail: None,
        };
        let history = HistoryTable::new(table.clone(), reader, None);
        context.register_table("history", history)?;
        Ok(Self {
            context,
            table: table.clone(),
            bound: below(positions, &fed_by.unwrap_or_default()),
        })
    }

    async fn rows(&self, sql: &str) -> Result<Vec<RecordBatch>, QueryError> {
        let rows = async { self.context.sql(sql).await?.collect().await };
        rows.await.map_err(|error| match is_file_gone(&error) {
            true => QueryError::Overtaken,
            false => error.into(),
        })
    }

    fn totals_sql(&self) -> String {
        format!(
            "select count(*) filter (where _op <> 't') as _rows,
               max(least(coalesce(_recorded_at, _ingested_at), _ingested_at + interval '5 minutes')) as _newest
             from history where {}",
            self.bound
        )
    }

    /// Columns that any row left out (RULES 11).
    async fn columns_left_out(&self) -> Result<BTreeSet<String>, QueryError> {
        let sql = format!(
            "select distinct cast({} as varchar) as unset from history where {} is not null and {}",
            system::UNSET,
            system::UNSET,
            self.bound
        );
        let mut columns = BTreeSet::new();
        for batch in self.rows(&sql).await? {
            for unset in batch.column(0).as_string::<i32>().iter().flatten() {
                columns.extend(unset.split(',').map(|name| name.trim().to_owned()));
            }
        }
        Ok(columns)
    }

    fn present_sql(&self, schema: &SchemaRef, unset: &BTreeSet<String>) -> String {
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let key: Vec<String> = self.table.key_columns().map(|column| quoted(&column.name)).collect();
        let (keys, has_key) = (key.join(", "), key.iter().map(|column| format!("{column} is not null")));
        let columns: Vec<String> = names.iter().map(|name| quoted(name)).collect();
        let mut sql = format!(
            "with changes as (
               select {columns}, _op, _snapshot,
                 ',' || replace(coalesce(_unset, ''), ' ', '') || ',' as _unset,
                 coalesce(_source, '') as _fed_by,
                 encode(_seq, 'hex') as _order,
                 case when length(encode(_seq, 'hex')) <= {DIGITS_WITHOUT_POSITION}
                   then coalesce(_partition, 0) else -1 end as _within
               from history where {bound}
             ), truncations as (
               select _fed_by, _within, _order as _floor from changes where _op = 't'
             ), snapshots_by_position as (
               select _fed_by, _within, left(_order, length(_order) - {OFFSET_DIGITS}) as _floor from changes
               where _op = 'r' and _within = -1 and _snapshot in ('last', 'last_in_data_collection')
             ), last_ends as (
               select _fed_by, _within, max(_order) as _end from changes
               where _op = 'r' and _within <> -1 and _snapshot in ('last', 'last_in_data_collection')
               group by _fed_by, _within
             ), snapshots_by_offset as (
               select c._fed_by, c._within, c._order as _floor from changes c
               join last_ends e on e._fed_by = c._fed_by and e._within = c._within
               where c._op = 'r' and c._snapshot in ('first', 'first_in_data_collection') and c._order <= e._end
             ), floors as (
               select _fed_by, _within, max(_floor) as _floor from (
                 select * from truncations
                 union all select * from snapshots_by_position
                 union all select * from snapshots_by_offset
               ) as f group by _fed_by, _within
             ), standing as (
               select c.* from changes c
               left join floors f on f._fed_by = c._fed_by and f._within = c._within
               where c._op <> 't' and {has_key} and (f._floor is null or c._order >= f._floor)
             ), latest as (
               select * from (
                 select *, row_number() over (partition by {keys} order by _order desc) as _age from standing
               ) as s where _age = 1 and _op <> 'd'
             )",
            columns = columns.join(", "),
            bound = self.bound,
            has_key = has_key.collect::<Vec<_>>().join(" and "),
        );
        let left_out: Vec<usize> = (0..names.len()).filter(|at| unset.contains(names[*at])).collect();
        for at in &left_out {
            let column = &columns[*at];
            write!(
                sql,
                ", told_{at} as (
                   select {keys}, _told from (
                     select {keys}, case when _op <> 'd' then {column} end as _told,
                       row_number() over (partition by {keys} order by _order desc) as _age
                     from standing where _op = 'd' or strpos(_unset, {name}) = 0
                   ) as t where _age = 1
                 )",
                name = literal(&format!(",{},", names[*at])),
            )
            .expect("a string takes text");
        }
        let shown = (0..names.len()).map(|at| match left_out.contains(&at) {
            true => format!("told_{at}._told as {}", columns[at]),
            false => format!("latest.{}", columns[at]),
        });
        let shown = shown.collect::<Vec<_>>().join(", ");
        write!(sql, " select {shown} from latest").expect("a string takes text");
        for at in left_out {
            let same_key = key.iter().map(|key| format!("told_{at}.{key} = latest.{key}"));
            let same_key = same_key.collect::<Vec<_>>().join(" and ");
            write!(sql, " left join told_{at} on {same_key}").expect("a string takes text");
        }
        sql
    }
}

/// Rows below the positions, of the partitions that feed the table.
fn below(positions: &BTreeMap<PartitionId, Offset>, fed_by: &BTreeMap<PartitionId, Offset>) -> String {
    let of = positions
        .iter()
        .filter(|(partition, _)| fed_by.contains_key(*partition));
    let of = of.map(|(partition, position)| {
        format!(
            "(_cluster = {} and _topic = {} and _epoch = {} and _partition = {} and _offset < {position})",
            literal(&partition.cluster),
            literal(&partition.topic),
            partition.epoch,
            partition.partition,
        )
    });
    let of: Vec<String> = of.collect();
    match of.is_empty() {
        true => "false".to_owned(),
        false => format!("({})", of.join(" or ")),
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
