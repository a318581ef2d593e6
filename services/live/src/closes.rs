//! Periods that end while the cut moves: whoever wants the tables exactly as they were then is handed a cut of that
//! moment, however far the cut leaps. For replays, where a day passes in a second.

use std::sync::Arc;

use casewatch_contract::RecordedAt;
use tokio::sync::mpsc;

use crate::present::Cut;

/// Cuts that may wait before only those that matter most are handed over.
const WAITING_AT_MOST: usize = 4;

/// Who wants which ends of periods.
#[derive(Debug, Clone)]
pub struct Closes {
    /// The end of the period that a moment lies in.
    pub end_of: fn(RecordedAt) -> RecordedAt,
    /// Whether an end is wanted although others still wait. One that is not is left out then.
    pub matters: fn(RecordedAt) -> bool,
    pub sender: mpsc::Sender<Arc<Cut>>,
}

impl Closes {
    /// Ends from `shown` on and before `reached` that are wanted now, each in its turn.
    pub(crate) fn next(&self, from: RecordedAt, reached: RecordedAt) -> Option<RecordedAt> {
        let mut end = (self.end_of)(from);
        while end < reached {
            if self.takes(end) {
                return Some(end);
            }
            end = (self.end_of)(RecordedAt(end.0 + 1));
        }
        None
    }

    fn takes(&self, end: RecordedAt) -> bool {
        let free = self.sender.capacity();
        let waiting = self.sender.max_capacity() - free;
        free > 0 && (waiting < WAITING_AT_MOST || (self.matters)(end))
    }

    pub(crate) fn hand_over(&self, cut: Cut) {
        // A receiver that has gone wants nothing more.
        let _ = self.sender.try_send(Arc::new(cut));
    }
}
