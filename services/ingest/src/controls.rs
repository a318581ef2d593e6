//! What the consumer's thread asks the committers during a rebalance: positions to start from, and a last flush.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use casewatch_contract::{ClusterName, Offset, PartitionId, TableName, TopicSpec};
use casewatch_lake::TopicLife;
use tokio::sync::mpsc;

use crate::group::Assignments;

/// A question to one table's committer, with where to answer.
pub(crate) enum Control {
    Positions {
        partitions: Vec<PartitionId>,
        reply: Sender<Result<Vec<Option<Offset>>, String>>,
    },
    Partitions {
        life: TopicLife,
        found: usize,
        reply: Sender<Result<usize, String>>,
    },
    Revoke {
        partitions: Vec<PartitionId>,
        deadline: Instant,
        reply: Sender<()>,
    },
}

/// The committers of a process, by table.
pub(crate) struct Controls {
    cluster: ClusterName,
    tables: HashMap<TableName, mpsc::UnboundedSender<Control>>,
}

/// How long the consumer's thread waits for the lake's positions before it gives the assignment up.
const POSITIONS_DEADLINE: Duration = Duration::from_secs(45);

impl Controls {
    pub fn new(cluster: ClusterName, tables: HashMap<TableName, mpsc::UnboundedSender<Control>>) -> Self {
        Self { cluster, tables }
    }

    /// Sends each table in `partitions` the control that `make` builds; the answers to wait for, each with the places
    /// in `partitions` that it is about.
    fn ask<T>(
        &self,
        partitions: &[(Arc<TopicSpec>, i32)],
        make: impl Fn(Vec<PartitionId>, Sender<T>) -> Control,
    ) -> Vec<(TableName, Vec<usize>, Receiver<T>)> {
        let mut by_table: BTreeMap<&TableName, Vec<usize>> = BTreeMap::new();
        for (place, (topic, _)) in partitions.iter().enumerate() {
            by_table.entry(&topic.table).or_default().push(place);
        }
        let mut asked = Vec::new();
        for (table, places) in by_table {
            let ids = places.iter().map(|place| {
                let (topic, partition) = &partitions[*place];
                partition_id(&self.cluster, topic, *partition)
            });
            let (reply, answer) = channel();
            // A committer that has ended drops the reply, which the receiver notices.
            let _ = self.tables[table].send(make(ids.collect(), reply));
            asked.push((table.clone(), places, answer));
        }
        asked
    }
}

impl Assignments for Controls {
    fn positions(&self, assigned: &[(Arc<TopicSpec>, i32)]) -> Result<Vec<Option<Offset>>, String> {
        let mut found = vec![None; assigned.len()];
        let asked = self.ask(assigned, |partitions, reply| Control::Positions { partitions, reply });
        for (table, places, answer) in asked {
            let positions = answer
                .recv_timeout(POSITIONS_DEADLINE)
                .map_err(|_| format!("the lake gave no positions of {table} in time"))??;
            for (place, position) in places.into_iter().zip(positions) {
                found[place] = position;
            }
        }
        Ok(found)
    }

    fn partitions(&self, topic: &TopicSpec, found: usize) -> Result<usize, String> {
        let (reply, answer) = channel();
        let life = life_of(&self.cluster, topic);
        // A committer that has ended drops the reply, which the receiver notices.
        let _ = self.tables[&topic.table].send(Control::Partitions { life, found, reply });
        let told = answer.recv_timeout(POSITIONS_DEADLINE);
        told.map_err(|_| format!("the lake did not tell in time how many partitions {} had", topic.topic))?
    }

    fn revoked(&self, revoked: &[(Arc<TopicSpec>, i32)], deadline: Duration) {
        let deadline = Instant::now() + deadline;
        let asked = self.ask(revoked, |partitions, reply| Control::Revoke {
            partitions,
            deadline,
            reply,
        });
        for (_, _, answer) in asked {
            // Not flushed in time: dropped, and read again by the next owner.
            let _ = answer.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        }
    }
}

pub(crate) fn life_of(cluster: &ClusterName, topic: &TopicSpec) -> TopicLife {
    TopicLife {
        cluster: cluster.clone(),
        topic: topic.topic.clone(),
        epoch: topic.epoch,
    }
}

pub(crate) fn partition_id(cluster: &ClusterName, topic: &TopicSpec, partition: i32) -> PartitionId {
    PartitionId {
        cluster: cluster.clone(),
        topic: topic.topic.clone(),
        epoch: topic.epoch,
        partition,
    }
}
