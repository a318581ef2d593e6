//! Where a partition starts, and when it must not start at all (RULES 6).

use std::fmt;

use casewatch_contract::{Offset, Order};

/// The decision for one partition, from the lake's position and Kafka's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    At(Offset),
    Halt(Halt),
}

/// Why a partition is not read until an operator has looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halt {
    /// Retention deleted messages that the lake has not got: `[position, log_start)` is gone.
    LogStartAbove { position: Offset, log_start: Offset },
    /// The log ends before our position: the topic was deleted and made again, or the cluster was restored.
    LogEndBelow { position: Offset, log_end: Offset },
    /// The topic is ordered by offset and has not the partitions it had: keys have moved between them (RULES 8).
    Partitions { known: usize, found: usize },
}

impl Halt {
    /// The reason as a label value.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::LogStartAbove { .. } => "log_start_above_position",
            Self::LogEndBelow { .. } => "log_end_below_position",
            Self::Partitions { .. } => "partitions_changed",
        }
    }
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LogStartAbove { position, log_start } => write!(
                f,
                "the log starts at offset {}, above our position {}: retention overtook us\n\
                 hint: recover the range if you can, else record the loss with `casewatch accept-gap`",
                log_start.0, position.0
            ),
            Self::LogEndBelow { position, log_end } => write!(
                f,
                "the log ends at offset {}, below our position {}: the topic was made again\n\
                 hint: raise the topic's epoch in the configuration if the new log is a new history",
                log_end.0, position.0
            ),
            Self::Partitions { known, found } => write!(
                f,
                "the topic has {found} partitions and had {known}; it is ordered by offset, and offsets of two partitions \
                 do not compare\n\
                 hint: write the topic anew with every row in it, and raise its epoch in the configuration"
            ),
        }
    }
}

/// Compares a topic's partitions with those it had when its rows were first taken.
pub fn partitions_of(order: Order, known: usize, found: usize) -> Option<Halt> {
    (order == Order::Offset && known != found).then_some(Halt::Partitions { known, found })
}

/// Decides from the lake's `position` (none: never read) and the log's first and next offsets.
pub fn start_of(position: Option<Offset>, log_start: Offset, log_end: Offset) -> Start {
    match position {
        None => Start::At(log_start),
        Some(position) if position < log_start => Start::Halt(Halt::LogStartAbove { position, log_start }),
        Some(position) if position > log_end => Start::Halt(Halt::LogEndBelow { position, log_end }),
        Some(position) => Start::At(position),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_never_read_starts_at_the_start_of_the_log() {
        assert_eq!(start_of(None, Offset(40), Offset(90)), Start::At(Offset(40)));
    }

    #[test]
    fn a_position_anywhere_in_the_log_or_at_its_end_is_kept() {
        for position in [40, 41, 90] {
            assert_eq!(
                start_of(Some(Offset(position)), Offset(40), Offset(90)),
                Start::At(Offset(position))
            );
        }
    }

    #[test]
    fn partitions_added_halt_a_topic_that_is_ordered_by_offset_and_no_other() {
        let halt = Halt::Partitions { known: 3, found: 4 };
        assert_eq!(partitions_of(Order::Offset, 3, 4), Some(halt));
        assert_eq!(partitions_of(Order::Offset, 3, 3), None);
        assert_eq!(partitions_of(Order::Source, 3, 4), None);
        assert!(halt.to_string().contains("raise its epoch"));
    }

    #[test]
    fn retention_that_overtook_us_and_a_topic_made_again_both_halt() {
        let overtaken = start_of(Some(Offset(39)), Offset(40), Offset(90));
        assert_eq!(
            overtaken,
            Start::Halt(Halt::LogStartAbove {
                position: Offset(39),
                log_start: Offset(40)
            })
        );
        let made_again = start_of(Some(Offset(91)), Offset(40), Offset(90));
        assert_eq!(
            made_again,
            Start::Halt(Halt::LogEndBelow {
                position: Offset(91),
                log_end: Offset(90)
            })
        );
    }
}
