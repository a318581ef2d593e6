//! Gaps: offsets that are gone from Kafka before they were read (retention overtook us, a topic was cut). Only an
//! operator's explicit word moves a position over them, and the lake remembers it for ever (RULES 6).

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema};
use casewatch_contract::{Offset, OffsetRange, PartitionId, Table, system};
use deltalake::kernel::{Action, Transaction};
use uuid::Uuid;

use crate::account::{CommitRecord, RangeRecord};
use crate::error::{LakeError, Result};
use crate::file;
use crate::lake::Lake;
use crate::log::Attempt;
use crate::schema::Layout;
use crate::system::places;
use crate::writer::transaction;

pub(crate) const GAPS: &str = "_gaps";
const MONTH: &str = "month";

pub(crate) fn layout() -> Layout {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let schema = Schema::new(vec![
        text("table"),
        text("cluster"),
        text("topic"),
        Field::new("epoch", DataType::Int32, true),
        Field::new("partition", DataType::Int32, true),
        Field::new("from_offset", DataType::Int64, true),
        Field::new("to_offset", DataType::Int64, true),
        text("reason"),
        Field::new("accepted_at", system::timestamp(), true),
        text(MONTH),
    ]);
    Layout {
        name: GAPS.to_owned(),
        schema: Arc::new(schema),
        partition_column: MONTH,
        unseen: Vec::new(),
        sort: vec!["table".to_owned(), "from_offset".to_owned()],
        keys: Default::default(),
    }
}

/// What operators gave up of one topic: for good, since the source no longer has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedGaps {
    pub table: String,
    pub topic: String,
    pub gaps: u64,
    /// Offsets in all of them together.
    pub offsets: u64,
}

impl Lake {
    /// The gaps that were accepted, by table and topic.
    ///
    /// # Errors
    /// A store that cannot be read.
    pub async fn accepted_gaps(&self) -> Result<Vec<AcceptedGaps>> {
        let rows = self.gap_rows().await?;
        let schema = rows.schema();
        let text = |name: &str| Ok::<_, LakeError>(rows.column(schema.index_of(name)?).as_string::<i32>());
        let offset = |name: &str| Ok::<_, LakeError>(rows.column(schema.index_of(name)?).as_primitive::<Int64Type>());
        let (tables, topics) = (text("table")?, text("topic")?);
        let (from, to) = (offset("from_offset")?, offset("to_offset")?);
        let mut sums: BTreeMap<(&str, &str), (u64, u64)> = BTreeMap::new();
        for row in 0..rows.num_rows() {
            let sum = sums.entry((tables.value(row), topics.value(row))).or_default();
            sum.0 += 1;
            sum.1 += u64::try_from(to.value(row) - from.value(row)).unwrap_or(0);
        }
        let accepted = sums.into_iter().map(|((table, topic), (gaps, offsets))| AcceptedGaps {
            table: table.to_owned(),
            topic: topic.to_owned(),
            gaps,
            offsets,
        });
        Ok(accepted.collect())
    }

    /// Moves the position of `partition` in `table` over `gap`, which must begin at the position, and records it. Asking
    /// again for a gap that was accepted does nothing.
    pub async fn accept_gap(
        self: &Arc<Self>,
        table: &Arc<Table>,
        partition: &PartitionId,
        gap: OffsetRange,
        reason: &str,
    ) -> Result<()> {
        let log = self.log(&table.name);
        let mut state = self.ensure(&log, &Layout::of_table(table)).await?;
        let mut record = CommitRecord::new("gap", Uuid::new_v4());
        record.ranges = vec![RangeRecord {
            partition: partition.clone(),
            from: gap.from.0,
            to: gap.to.0,
            rows: 0,
            offsets: 0,
            tombstones: 0,
            dead_letters: 0,
            holes: gap.offsets(),
            erased: 0,
        }];
        loop {
            let found = state.transactions.get(&partition.to_string()).copied();
            match found {
                // The record comes first and the position after it: a crash between the two is mended by asking again.
                Some(found) if found == gap.from.0 && !gap.is_empty() => {
                    self.record_gap(table, partition, gap, reason).await?
                }
                Some(found) if found >= gap.to.0 && self.is_recorded(table, partition, gap).await? => return Ok(()),
                found => {
                    let (table, partition) = (table.name.to_string(), partition.clone());
                    let found = found.map(Offset);
                    return Err(LakeError::NotAtPosition {
                        table,
                        partition,
                        expected: gap.from.0,
                        found,
                    });
                }
            }
            let actions = vec![Action::Txn(transaction(partition, gap.to.0))];
            if let Attempt::Committed(version) = log.try_commit(&mut state, &record, actions).await? {
                tracing::warn!(table = %table.name, %partition, %gap, version, "a gap was accepted");
                return Ok(());
            }
        }
    }

    async fn record_gap(&self, table: &Table, partition: &PartitionId, gap: OffsetRange, reason: &str) -> Result<()> {
        let (log, layout) = (self.log(GAPS), layout());
        let mut state = self.ensure(&log, &layout).await?;
        let app_id = format!("{}/{partition}", table.name);
        while state
            .transactions
            .get(&app_id)
            .is_none_or(|recorded| *recorded < gap.to.0)
        {
            let now = chrono::Utc::now();
            let mut columns = places(vec![(table.name.to_string(), partition.clone())]);
            columns.extend([
                Arc::new(Int64Array::from_value(gap.from.0, 1)) as ArrayRef,
                Arc::new(Int64Array::from_value(gap.to.0, 1)),
                Arc::new(StringArray::from(vec![reason])),
                Arc::new(TimestampMicrosecondArray::from_value(now.timestamp_micros(), 1).with_timezone("UTC")),
                Arc::new(StringArray::from(vec![now.format("%Y-%m").to_string()])),
            ]);
            let rows = RecordBatch::try_new(layout.schema.clone(), columns)?;
            let files = file::write(&log, &layout, vec![rows])
                .await?
                .into_iter()
                .map(Action::Add);
            let moved = Action::Txn(Transaction::new(&app_id, gap.to.0));
            let record = CommitRecord::new("gap", Uuid::new_v4());
            log.try_commit(&mut state, &record, files.chain([moved]).collect())
                .await?;
        }
        Ok(())
    }

    async fn is_recorded(&self, table: &Table, partition: &PartitionId, gap: OffsetRange) -> Result<bool> {
        let rows = self.gap_rows().await?;
        let text =
            |name: &str| Ok::<_, LakeError>(rows.column(rows.schema().index_of(name)?).as_string::<i32>().clone());
        let number = |name: &str| {
            Ok::<_, LakeError>(
                rows.column(rows.schema().index_of(name)?)
                    .as_primitive::<Int64Type>()
                    .clone(),
            )
        };
        let (tables, topics) = (text("table")?, text("topic")?);
        let (from, to) = (number("from_offset")?, number("to_offset")?);
        let partitions = rows
            .column(rows.schema().index_of("partition")?)
            .as_primitive::<Int32Type>();
        Ok((0..rows.num_rows()).any(|row| {
            tables.value(row) == table.name.as_str()
                && topics.value(row) == partition.topic.as_str()
                && partitions.value(row) == partition.partition
                && (from.value(row), to.value(row)) == (gap.from.0, gap.to.0)
        }))
    }

    /// Every accepted gap, as rows of `lake.gaps`.
    pub(crate) async fn gap_rows(&self) -> Result<RecordBatch> {
        let (log, schema) = (self.log(GAPS), layout().schema);
        let mut batches = Vec::new();
        if let Some(state) = self.state(&log).await? {
            for add in state.files.values() {
                batches.extend(file::read(&log, &schema, add).await?);
            }
        }
        Ok(concat_batches(&schema, &batches)?)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Array;

    use super::*;
    use crate::fixtures;

    #[tokio::test]
    async fn a_gap_is_accepted_at_the_position_only_recorded_once_and_tiles_with_the_commits() {
        let (store, table) = (Arc::new(object_store::memory::InMemory::new()), fixtures::table());
        let lake = fixtures::lake_on(store).await;
        let mut writer = lake.writer(table.clone()).await.unwrap();
        writer.commit(vec![fixtures::chunk(&table, 0, 0, 10)]).await.unwrap();
        let partition = fixtures::partition(0);
        let gap = |from, to| OffsetRange {
            from: Offset(from),
            to: Offset(to),
        };
        let wrong = lake
            .accept_gap(&table, &partition, gap(12, 20), "retention")
            .await
            .unwrap_err();
        assert!(
            matches!(
                wrong,
                LakeError::NotAtPosition {
                    found: Some(Offset(10)),
                    ..
                }
            ),
            "{wrong}"
        );
        lake.accept_gap(&table, &partition, gap(10, 20), "retention")
            .await
            .unwrap();
        lake.accept_gap(&table, &partition, gap(10, 20), "retention")
            .await
            .unwrap();
        let after = writer.commit(vec![fixtures::chunk(&table, 0, 20, 30)]).await.unwrap();
        assert_eq!(after.positions[&partition], Offset(30));
        let ranges = lake.commit_ranges(&table.name).await.unwrap();
        assert_eq!(
            ranges.iter().map(|range| (range.from, range.to)).collect::<Vec<_>>(),
            [(0, 10), (10, 20), (20, 30)]
        );
        let gaps = lake.gap_rows().await.unwrap();
        assert_eq!((gaps.num_rows(), gaps.column_by_name("reason").unwrap().len()), (1, 1));
        let accepted = lake.accepted_gaps().await.unwrap();
        let [gaps] = accepted.as_slice() else {
            panic!("{accepted:?}")
        };
        assert_eq!(
            (gaps.table.as_str(), gaps.gaps, gaps.offsets),
            (table.name.as_str(), 1, 10)
        );
    }
}
