//! A run: what one writer holds of one partition, on its way into a commit. Trimming it keeps its account true.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{AsArray, BooleanArray, Int64Array, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Int64Type;
use casewatch_contract::{Chunk, DeadLetter, PartitionId, system};

use crate::account::RangeRecord;
use crate::error::{LakeError, Result};

#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub partition: PartitionId,
    pub from: i64,
    pub to: i64,
    pub rows: Vec<RecordBatch>,
    /// Dead letters by offset.
    pub dead: BTreeMap<i64, DeadLetter>,
    /// Offsets in the range at which a dead letter stands in the lake, ours or an earlier one.
    pub standing: BTreeSet<i64>,
    pub tombstones: u64,
    pub holes: u64,
    pub erased: u64,
}

/// Joins chunks to one run a partition. Chunks must be contiguous and account for each of their offsets.
pub(crate) fn gather(chunks: Vec<Chunk>) -> Result<Vec<Run>> {
    let mut runs: BTreeMap<PartitionId, Run> = BTreeMap::new();
    for chunk in chunks {
        check(&chunk)?;
        let dead = chunk
            .dead_letters
            .into_iter()
            .map(|letter| (letter.offset.0, letter))
            .collect();
        let next = Run {
            partition: chunk.partition.clone(),
            from: chunk.range.from.0,
            to: chunk.range.to.0,
            rows: vec![chunk.rows],
            dead,
            standing: BTreeSet::new(),
            tombstones: chunk.tombstones,
            holes: chunk.holes,
            erased: 0,
        };
        match runs.get_mut(&chunk.partition) {
            Some(run) => run.extend(next)?,
            None => _ = runs.insert(chunk.partition, next),
        }
    }
    Ok(runs.into_values().collect())
}

fn check(chunk: &Chunk) -> Result<()> {
    let (from, to) = (chunk.range.from.0, chunk.range.to.0);
    let refuse = |detail: String| LakeError::Account {
        partition: chunk.partition.clone(),
        from,
        to,
        detail,
    };
    let offsets = offsets(&chunk.rows)?;
    let data: BTreeSet<i64> = offsets.values().iter().copied().collect();
    let dead: BTreeSet<i64> = chunk.dead_letters.iter().map(|letter| letter.offset.0).collect();
    if let Some(stray) = data.iter().chain(&dead).find(|&&offset| offset < from || offset >= to) {
        return Err(refuse(format!("offset {stray} is outside")));
    }
    if let Some(twice) = data.intersection(&dead).next() {
        return Err(refuse(format!("offset {twice} is both a row and a dead letter")));
    }
    let counted = (data.len() + dead.len()) as u64 + chunk.tombstones + chunk.holes;
    if dead.len() != chunk.dead_letters.len() || i64::try_from(counted) != Ok(to - from) {
        let (rows, dead, tombstones, holes) = (data.len(), dead.len(), chunk.tombstones, chunk.holes);
        return Err(refuse(format!(
            "{rows} offsets with rows, {dead} dead letters, {tombstones} tombstones and {holes} holes"
        )));
    }
    Ok(())
}

pub(crate) fn offsets(rows: &RecordBatch) -> Result<&Int64Array> {
    let column = rows
        .column_by_name(system::OFFSET)
        .and_then(|column| column.as_primitive_opt::<Int64Type>());
    column.ok_or_else(|| LakeError::Rows {
        table: "any".into(),
        detail: format!("column '{}' is missing or not Int64", system::OFFSET),
    })
}

impl Run {
    fn extend(&mut self, next: Self) -> Result<()> {
        if next.from != self.to {
            let (partition, end, start) = (next.partition, self.to, next.from);
            return Err(LakeError::NotContiguous { partition, end, start });
        }
        self.to = next.to;
        self.rows.extend(next.rows);
        self.dead.extend(next.dead);
        self.tombstones += next.tombstones;
        self.holes += next.holes;
        Ok(())
    }

    pub fn row_count(&self) -> u64 {
        self.rows.iter().map(|rows| rows.num_rows() as u64).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.from >= self.to
    }

    /// Drops everything below `position`, because it is in the table already. Returns the rows dropped.
    pub fn drop_below(&mut self, position: i64) -> Result<u64> {
        let before = self.row_count();
        self.keep(|offset| offset >= position)?;
        self.dead = self.dead.split_off(&position);
        self.from = position.min(self.to);
        // Tombstones and holes are counted, not placed: what remains unaccounted for is one of them.
        let placed = self.data_offset_count()? + self.dead.len() as u64;
        let rest = u64::try_from(self.to - self.from)
            .expect("a run is not negative")
            .saturating_sub(placed);
        self.tombstones = self.tombstones.min(rest);
        self.holes = rest - self.tombstones;
        Ok(before - self.row_count())
    }

    /// Offsets at which a dead letter stands stay dead letters, even where this decoder made a row of them: each
    /// offset stands once, and replay turns it into a row.
    pub fn yield_to(&mut self, standing: BTreeSet<i64>) -> Result<()> {
        if !standing.is_empty() {
            self.keep(|offset| !standing.contains(&offset))?;
        }
        self.standing = standing;
        self.standing.extend(self.dead.keys());
        Ok(())
    }

    /// How many offsets have rows. An offset may have two: a changed key is a delete and an upsert.
    pub fn data_offset_count(&self) -> Result<u64> {
        let mut all = Vec::new();
        for rows in &self.rows {
            all.extend_from_slice(offsets(rows)?.values());
        }
        // They come in their order, which this sort sees in one pass.
        all.sort_unstable();
        all.dedup();
        Ok(all.len() as u64)
    }

    /// Replaces the rows by what `filter` leaves of them, counting offsets that lose all their rows as erased.
    pub fn erase(&mut self, filter: impl Fn(&RecordBatch) -> Result<RecordBatch>) -> Result<()> {
        let before = self.data_offset_count()?;
        self.rows = self.rows.iter().map(filter).collect::<Result<_>>()?;
        self.erased += before - self.data_offset_count()?;
        Ok(())
    }

    fn keep(&mut self, wanted: impl Fn(i64) -> bool) -> Result<()> {
        for rows in &mut self.rows {
            let mask: BooleanArray = offsets(rows)?
                .values()
                .iter()
                .map(|&offset| Some(wanted(offset)))
                .collect();
            if mask.has_false() {
                *rows = filter_record_batch(rows, &mask)?;
            }
        }
        Ok(())
    }

    pub fn record(&self) -> Result<RangeRecord> {
        Ok(RangeRecord {
            partition: self.partition.clone(),
            from: self.from,
            to: self.to,
            rows: self.row_count(),
            offsets: self.data_offset_count()?,
            tombstones: self.tombstones,
            dead_letters: self.standing.len() as u64,
            holes: self.holes,
            erased: self.erased,
        })
    }
}
