//! How deliveries go wrong in life: late recording, duplicates, events out of order.
//!
//! Invariants: with all shares at zero the stream passes unchanged; a late recording changes commit time and log
//! position but never the order of one row's versions; everything of a day is out before the day's last events, the
//! feeds, so that counts at a day's end are of what was recorded by then.

use hashbrown::HashMap;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::calendar::{Day, SECOND, Time};
use crate::journal::{Event, Op};
use crate::row::Table;

/// Shares of events that go wrong, each from 0 (the default: none) to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Disorder {
    /// Sent twice, the second time later in the day.
    pub duplicates: f64,
    /// Sent later in the day than its commit.
    pub out_of_order: f64,
    /// Allocations recorded one to five days after they began: as of a day, known differently then and now.
    pub late_allocations: f64,
}

impl Disorder {
    fn is_none(self) -> bool {
        self == Self::default()
    }
}

/// Applies a [`Disorder`] to one authority's days.
pub(crate) struct Disturbance {
    disorder: Disorder,
    rng: ChaCha8Rng,
    /// Rows whose recording is late: their events so far and the day they are recorded.
    late: HashMap<String, (Day, Vec<Event>)>,
    /// Keys in the order in which they became late, so that the same seed gives the same stream.
    waiting: Vec<String>,
}

impl Disturbance {
    pub(crate) fn new(disorder: Disorder, seed: u64) -> Self {
        Self {
            disorder,
            rng: ChaCha8Rng::seed_from_u64(seed ^ 0x5eed),
            late: HashMap::new(),
            waiting: vec![],
        }
    }

    /// One day's events as they are delivered.
    pub(crate) fn disturb(&mut self, day: Day, events: Vec<Event>) -> Vec<Event> {
        if self.disorder.is_none() {
            return events;
        }
        let closing = events
            .iter()
            .position(|event| event.table == Table::Feeds)
            .unwrap_or(events.len());
        let mut events = events;
        let feeds = events.split_off(closing);
        let mut delivered = self.hold_back(day, events);
        self.record_late(day, &feeds, &mut delivered);
        self.shuffle(&mut delivered);
        delivered.extend(feeds);
        delivered
    }

    /// Takes out what is recorded on a later day.
    fn hold_back(&mut self, day: Day, events: Vec<Event>) -> Vec<Event> {
        let mut kept = Vec::with_capacity(events.len());
        for event in events {
            if event.table != Table::Allocations {
                kept.push(event);
                continue;
            }
            let key = event.key();
            if let Some((_, held)) = self.late.get_mut(&key) {
                held.push(event);
            } else if event.op == Op::Create && self.rng.random_bool(self.disorder.late_allocations.clamp(0.0, 1.0)) {
                let recorded = day.plus(self.rng.random_range(1..=5));
                self.waiting.push(key.clone());
                self.late.insert(key, (recorded, vec![event]));
            } else {
                kept.push(event);
            }
        }
        kept
    }

    /// Adds what is due today: committed in the day's last hour, just before the feeds.
    fn record_late(&mut self, day: Day, feeds: &[Event], delivered: &mut Vec<Event>) {
        let Some(first_feed) = feeds.first() else { return };
        let mut lsn = delivered.last().map_or(first_feed.lsn - 55, |event| event.lsn + 1);
        let start = Time(first_feed.at.0 - 3_599 * SECOND);
        let mut at = delivered.last().map_or(start, |event| event.at.max(start));
        let due: Vec<String> = self
            .waiting
            .iter()
            .filter(|key| self.late[*key].0 <= day)
            .cloned()
            .collect();
        self.waiting.retain(|key| !due.contains(key));
        for event in due
            .into_iter()
            .flat_map(|key| self.late.remove(&key).map(|(_, events)| events).unwrap_or_default())
        {
            // Positions between the day's last commit and its feeds are free: 55 of them.
            lsn = (lsn + 1).min(first_feed.lsn - 1);
            at = Time((at.0 + 1_000).min(first_feed.at.0 - 1));
            delivered.push(Event { at, lsn, ..event });
        }
    }

    /// Sends some again, and some later.
    fn shuffle(&mut self, events: &mut Vec<Event>) {
        let mut moved: Vec<(usize, Event)> = vec![];
        let mut result = Vec::with_capacity(events.len());
        for (position, event) in std::mem::take(events).into_iter().enumerate() {
            let mut due: Vec<(usize, Event)> = vec![];
            moved.retain(|(when, held)| {
                let comes = *when <= position;
                if comes {
                    due.push((*when, held.clone()));
                }
                !comes
            });
            result.extend(due.into_iter().map(|(_, held)| held));
            if self.rng.random_bool(self.disorder.duplicates.clamp(0.0, 1.0)) {
                moved.push((position + self.rng.random_range(1..40), event.clone()));
            }
            if self.rng.random_bool(self.disorder.out_of_order.clamp(0.0, 1.0)) {
                moved.push((position + self.rng.random_range(1..20), event));
            } else {
                result.push(event);
            }
        }
        result.extend(moved.into_iter().map(|(_, held)| held));
        *events = result;
    }
}
