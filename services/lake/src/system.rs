//! The lake's own tables for SQL: `lake.commits`, `lake.dead_letters`, `lake.files`, `lake.positions`, `lake.gaps`.
//! Each is read when it is scanned.

use std::fmt;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use casewatch_contract::{PartitionId, system};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::DataFusionError;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;

use crate::dead_letters::DeadLetterFilter;
use crate::error::Result;
use crate::lake::Lake;
use crate::{commits, file, gaps, writer};

/// A table the lake keeps about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SystemTable {
    /// Every commit and the ranges of offsets it covers, for ever.
    Commits,
    /// Messages that could not become rows, and whether they were replayed. Never their payload.
    DeadLetters,
    /// The data files of the newest version of each table.
    Files,
    /// The next offset of each partition in each table.
    Positions,
    /// Ranges of offsets an operator gave up.
    Gaps,
}

impl SystemTable {
    pub const ALL: [Self; 5] = [
        Self::Commits,
        Self::DeadLetters,
        Self::Files,
        Self::Positions,
        Self::Gaps,
    ];

    /// Its name in SQL, below `lake.`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Commits => "commits",
            Self::DeadLetters => "dead_letters",
            Self::Files => "files",
            Self::Positions => "positions",
            Self::Gaps => "gaps",
        }
    }

    fn schema(self) -> SchemaRef {
        let text = |name: &str| Field::new(name, DataType::Utf8, true);
        let number = |name: &str| Field::new(name, DataType::Int64, true);
        let small = |name: &str| Field::new(name, DataType::Int32, true);
        let flag = |name: &str| Field::new(name, DataType::Boolean, true);
        let time = |name: &str| Field::new(name, system::timestamp(), true);
        let place = || {
            vec![
                text("table"),
                text("cluster"),
                text("topic"),
                small("epoch"),
                small("partition"),
            ]
        };
        let fields = match self {
            Self::Commits => return commits::layout().schema,
            Self::Gaps => return gaps::layout().schema,
            Self::Files => {
                vec![
                    text("table"),
                    text("path"),
                    text("part"),
                    number("bytes"),
                    number("rows"),
                    time("added_at"),
                ]
            }
            Self::Positions => [place(), vec![number("next_offset")]].concat(),
            Self::DeadLetters => {
                let rest = vec![
                    number("offset"),
                    number("schema_id"),
                    text("reason"),
                    text("detail"),
                    time("message_at"),
                    time("recorded_at"),
                    flag("has_payload"),
                    flag("replayed"),
                ];
                [place(), rest].concat()
            }
        };
        Arc::new(Schema::new(fields))
    }
}

impl Lake {
    /// One of the lake's own tables as a DataFusion table.
    pub fn system_table(self: &Arc<Self>, which: SystemTable) -> Arc<dyn TableProvider> {
        Arc::new(SystemProvider {
            lake: self.clone(),
            which,
            schema: which.schema(),
        })
    }

    async fn system_rows(&self, which: SystemTable) -> Result<RecordBatch> {
        match which {
            SystemTable::Commits => self.all_commits().await,
            SystemTable::DeadLetters => self.dead_letter_rows().await,
            SystemTable::Files => self.file_rows().await,
            SystemTable::Positions => self.position_rows().await,
            SystemTable::Gaps => self.gap_rows().await,
        }
    }

    async fn dead_letter_rows(&self) -> Result<RecordBatch> {
        let letters = self.dead_letters(&DeadLetterFilter::default()).await?;
        let mut columns = places(
            letters
                .iter()
                .map(|letter| (letter.table.to_string(), letter.partition.clone()))
                .collect(),
        );
        let message_at: TimestampMicrosecondArray =
            letters.iter().map(|letter| letter.message_at.map(|at| at.0)).collect();
        let recorded_at: TimestampMicrosecondArray = letters.iter().map(|letter| Some(letter.recorded_at.0)).collect();
        columns.extend([
            Arc::new(
                letters
                    .iter()
                    .map(|letter| Some(letter.offset.0))
                    .collect::<Int64Array>(),
            ) as ArrayRef,
            Arc::new(
                letters
                    .iter()
                    .map(|letter| letter.schema_id.map(i64::from))
                    .collect::<Int64Array>(),
            ),
            Arc::new(
                letters
                    .iter()
                    .map(|letter| Some(letter.reason.as_str()))
                    .collect::<StringArray>(),
            ),
            Arc::new(
                letters
                    .iter()
                    .map(|letter| Some(letter.detail.as_str()))
                    .collect::<StringArray>(),
            ),
            Arc::new(message_at.with_timezone("UTC")),
            Arc::new(recorded_at.with_timezone("UTC")),
            Arc::new(
                letters
                    .iter()
                    .map(|letter| Some(letter.has_payload()))
                    .collect::<BooleanArray>(),
            ),
            Arc::new(
                letters
                    .iter()
                    .map(|letter| Some(letter.replayed))
                    .collect::<BooleanArray>(),
            ),
        ]);
        Ok(RecordBatch::try_new(SystemTable::DeadLetters.schema(), columns)?)
    }

    async fn file_rows(&self) -> Result<RecordBatch> {
        let mut files = Vec::new();
        for table in self.tables().await? {
            let Some(state) = self.state(&self.log(&table)).await? else {
                continue;
            };
            files.extend(state.files.values().map(|add| (table.clone(), add.clone())));
        }
        let part = |add: &deltalake::kernel::Add| add.partition_values.values().next().cloned().flatten();
        let added_at: TimestampMicrosecondArray = files
            .iter()
            .map(|(_, add)| Some(add.modification_time * 1000))
            .collect();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(
                files
                    .iter()
                    .map(|(table, _)| Some(table.as_str()))
                    .collect::<StringArray>(),
            ),
            Arc::new(
                files
                    .iter()
                    .map(|(_, add)| Some(add.path.as_str()))
                    .collect::<StringArray>(),
            ),
            Arc::new(files.iter().map(|(_, add)| part(add)).collect::<StringArray>()),
            Arc::new(files.iter().map(|(_, add)| Some(add.size)).collect::<Int64Array>()),
            Arc::new(
                files
                    .iter()
                    .map(|(_, add)| file::row_count(add))
                    .collect::<Int64Array>(),
            ),
            Arc::new(added_at.with_timezone("UTC")),
        ];
        Ok(RecordBatch::try_new(SystemTable::Files.schema(), columns)?)
    }

    async fn position_rows(&self) -> Result<RecordBatch> {
        let mut rows = Vec::new();
        for table in self.tables().await?.into_iter().filter(|table| !table.starts_with('_')) {
            let Some(state) = self.state(&self.log(&table)).await? else {
                continue;
            };
            rows.extend(
                writer::positions(&state)
                    .into_iter()
                    .map(|(at, offset)| (table.to_string(), at, offset)),
            );
        }
        let mut columns = places(rows.iter().map(|(table, at, _)| (table.clone(), at.clone())).collect());
        columns.push(Arc::new(
            rows.iter().map(|(_, _, offset)| Some(offset.0)).collect::<Int64Array>(),
        ));
        Ok(RecordBatch::try_new(SystemTable::Positions.schema(), columns)?)
    }
}

/// The columns table, cluster, topic, epoch and partition.
pub(crate) fn places(places: Vec<(String, PartitionId)>) -> Vec<ArrayRef> {
    vec![
        Arc::new(
            places
                .iter()
                .map(|(table, _)| Some(table.as_str()))
                .collect::<StringArray>(),
        ),
        Arc::new(
            places
                .iter()
                .map(|(_, at)| Some(at.cluster.as_str()))
                .collect::<StringArray>(),
        ),
        Arc::new(
            places
                .iter()
                .map(|(_, at)| Some(at.topic.as_str()))
                .collect::<StringArray>(),
        ),
        Arc::new(
            places
                .iter()
                .map(|(_, at)| i32::try_from(at.epoch).ok())
                .collect::<Int32Array>(),
        ),
        Arc::new(places.iter().map(|(_, at)| Some(at.partition)).collect::<Int32Array>()),
    ]
}

struct SystemProvider {
    lake: Arc<Lake>,
    which: SystemTable,
    schema: SchemaRef,
}

impl fmt::Debug for SystemProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SystemProvider({})", self.which.name())
    }
}

#[async_trait]
impl TableProvider for SystemProvider {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> datafusion::common::Result<Arc<dyn ExecutionPlan>> {
        let rows = self.lake.system_rows(self.which).await;
        let rows = rows.map_err(|error| DataFusionError::External(Box::new(error)))?;
        let plan = MemorySourceConfig::try_new_exec(&[vec![rows]], self.schema.clone(), projection.cloned())?;
        Ok(plan)
    }
}
