//! What configuration says about a topic: the table it carries, how it orders changes, how it writes them.

use serde::{Deserialize, Serialize};

use crate::name::{TableName, TopicName};

/// How the changes of one key are ordered. It is a property of the topic's whole life: the two kinds never mix in a
/// table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// By the source database's position (log sequence number, change number, binlog position).
    Source,
    /// By Kafka's offset: right when all changes of a key stand in one partition in the order they happened.
    Offset,
}

/// How values are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Told by each message's first byte: 0x00 starts Confluent's framing of Avro, a brace starts JSON.
    #[default]
    Auto,
    Avro,
    Json,
}

/// What a value holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// Told by its fields: `op`, and `before` or `after`, make a Debezium envelope.
    #[default]
    Auto,
    /// Debezium's change event.
    Debezium,
    /// The row itself.
    Flat,
}

/// One topic of one cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TopicSpec {
    pub topic: TopicName,
    pub table: TableName,
    /// Raised by the operator when the topic is recreated.
    #[serde(default)]
    pub epoch: u32,
    pub order: Order,
    #[serde(default)]
    pub encoding: Encoding,
    #[serde(default)]
    pub shape: Shape,
}

impl TopicSpec {
    /// A topic that carries the table named by the last part of its own name, in whatever encoding and shape.
    pub fn new(topic: impl Into<TopicName>, order: Order) -> Self {
        let topic = topic.into();
        let table = topic.rsplit('.').next().unwrap_or(&topic).into();
        Self {
            topic,
            table,
            epoch: 0,
            order,
            encoding: Encoding::Auto,
            shape: Shape::Auto,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_carries_the_table_its_last_part_names() {
        assert_eq!(&*TopicSpec::new("mosaic.public.cases", Order::Source).table, "cases");
        assert_eq!(&*TopicSpec::new("cases", Order::Offset).table, "cases");
    }
}
