//! How many partitions a topic had when its table first took rows of it (RULES 8).
//!
//! Under `order = "offset"` two changes of a key compare only within one partition. Adding partitions moves keys to
//! others, where their offsets start low: older changes would overwrite newer ones. So the number is remembered with the
//! positions, in the very table, and whoever reads the topic compares.

use std::collections::BTreeMap;
use std::sync::Arc;

use casewatch_contract::{ClusterName, Table, TopicName};
use deltalake::kernel::{Action, Transaction};
use uuid::Uuid;

use crate::account::CommitRecord;
use crate::error::Result;
use crate::lake::Lake;
use crate::log::{Attempt, TableState};
use crate::writer::TableWriter;

/// One life of a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TopicLife {
    pub cluster: ClusterName,
    pub topic: TopicName,
    pub epoch: u32,
}

/// The last part tells it from a position, which ends in the number of a partition.
const LAST_PART: &str = "/partitions";

impl TopicLife {
    fn app_id(&self) -> String {
        format!("{}/{}/{}{LAST_PART}", self.cluster, self.topic, self.epoch)
    }

    fn parse(app_id: &str) -> Option<Self> {
        let mut parts = app_id.strip_suffix(LAST_PART)?.rsplitn(3, '/');
        let epoch = parts.next()?.parse().ok()?;
        let (topic, cluster) = (parts.next()?.into(), parts.next()?.into());
        Some(Self { cluster, topic, epoch })
    }
}

fn counts(state: &TableState) -> BTreeMap<TopicLife, usize> {
    let counts = state.transactions.iter();
    counts
        .filter_map(|(app_id, count)| Some((TopicLife::parse(app_id)?, usize::try_from(*count).ok()?)))
        .collect()
}

impl TableWriter {
    /// The number of partitions that is remembered of a topic; `found` from now on, when none is.
    ///
    /// # Errors
    /// A lake that cannot be read or written.
    pub async fn remember_partitions(&mut self, life: &TopicLife, found: usize) -> Result<usize> {
        loop {
            self.refresh().await?;
            if let Some(count) = counts(self.state()).get(life) {
                return Ok(*count);
            }
            let record = CommitRecord::new("partitions", Uuid::new_v4());
            let count = i64::try_from(found).unwrap_or(i64::MAX);
            let actions = vec![Action::Txn(Transaction::new(life.app_id(), count))];
            if let Attempt::Committed(_) = self.try_commit(&record, actions).await? {
                return Ok(found);
            }
        }
    }
}

impl Lake {
    /// What is remembered of the topics that feed `tables`.
    ///
    /// # Errors
    /// A lake that cannot be read.
    pub async fn partition_counts(&self, tables: &[Arc<Table>]) -> Result<BTreeMap<TopicLife, usize>> {
        let mut found = BTreeMap::new();
        for table in tables {
            if let Some(state) = self.state(&self.log(&table.name)).await? {
                found.extend(counts(&state));
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_told_from_a_position_and_from_a_replay() {
        let life = TopicLife {
            cluster: "main/old".into(),
            topic: "s.cases".into(),
            epoch: 2,
        };
        assert_eq!(TopicLife::parse(&life.app_id()), Some(life.clone()));
        assert!(life.app_id().parse::<casewatch_contract::PartitionId>().is_err());
        for other in ["main/s.cases/2/0", "replay/main/s.cases/2/0/17", "x/partitions"] {
            assert_eq!(TopicLife::parse(other), None, "{other}");
        }
    }
}
