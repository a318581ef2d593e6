//! The source database's journal: rows put and deleted in a day become change events in commit order.
//!
//! Invariants: the initial snapshot has one log position, as Debezium reads it in one transaction, and after it positions
//! rise strictly from event to event; commit times never fall; the versions of one row leave in the order in which they
//! were put, each carrying the one before it.

use hashbrown::HashMap;

use crate::calendar::Time;
use crate::row::{Row, Table, Value};

/// What happened to a row, as Debezium names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `r`: read in the initial snapshot.
    Read,
    /// `c`
    Create,
    /// `u`
    Update,
    /// `d`
    Delete,
}

impl Op {
    /// Debezium's letter.
    pub fn letter(self) -> &'static str {
        match self {
            Self::Read => "r",
            Self::Create => "c",
            Self::Update => "u",
            Self::Delete => "d",
        }
    }
}

/// Where an event stands in the snapshot of its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Snapshot {
    /// Not in one.
    No,
    /// First row of its table.
    First,
    /// Neither first nor last.
    Inside,
    /// Last row of its table (also of a table with a single row).
    Last,
}

impl Snapshot {
    /// Debezium's marker.
    pub fn marker(self) -> &'static str {
        match self {
            Self::No => "false",
            Self::First => "first",
            Self::Inside => "true",
            Self::Last => "last",
        }
    }
}

/// One committed change of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Commit time: what casewatch calls recorded.
    pub at: Time,
    /// Its table.
    pub table: Table,
    /// What happened.
    pub op: Op,
    /// The row before, for updates and deletes.
    pub before: Option<Row>,
    /// The row after, unless it was deleted.
    pub after: Option<Row>,
    /// Position in the initial snapshot.
    pub snapshot: Snapshot,
    /// Log position: one for the whole initial snapshot, strictly rising after it, within one authority.
    pub lsn: u64,
    /// Transaction number: rows committed together share it.
    pub transaction: u32,
}

impl Event {
    /// The row that names the key: after, or before a delete.
    pub fn row(&self) -> &Row {
        self.after
            .as_ref()
            .or(self.before.as_ref())
            .expect("an event has a row before or after")
    }

    /// The text of the key, parts joined by `|`.
    pub fn key(&self) -> String {
        key_of(self.table, self.row())
    }
}

/// The text of a row's key, parts joined by `|`.
pub fn key_of(table: Table, row: &[Value]) -> String {
    let mut key = String::new();
    for (column, value) in table.columns().iter().zip(row).filter(|(column, _)| column.key) {
        if !key.is_empty() {
            key.push('|');
        }
        match value {
            Value::Text(text) => key.push_str(text),
            Value::Date(day) => key.push_str(&day.0.to_string()),
            Value::Time(time) => key.push_str(&time.0.to_string()),
            _ => unreachable!("{} is a key of text, dates and times", column.name),
        }
    }
    key
}

struct Pending {
    at: Time,
    table: Table,
    before: Option<Row>,
    after: Option<Row>,
}

/// What a row can still do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// It may change again.
    Open,
    /// It never changes again: no version is kept.
    Over,
}

pub(crate) struct Journal {
    authority: String,
    prefix: String,
    /// Latest version of every row that may still change.
    rows: HashMap<(Table, u32), (Time, Row)>,
    pending: Vec<Pending>,
    counts: [i64; 17],
    lsn: u64,
    transaction: u32,
    last_at: Time,
}

impl Journal {
    pub(crate) fn new(authority: &str, prefix: &str) -> Self {
        Self {
            authority: authority.to_owned(),
            prefix: prefix.to_owned(),
            rows: HashMap::new(),
            pending: vec![],
            counts: [0; 17],
            lsn: 23_000_000,
            transaction: 1_000,
            last_at: Time(i64::MIN),
        }
    }

    /// An identifier: the authority's letters, the kind's, a number.
    pub(crate) fn id(&self, kind: &'static str, number: u32) -> String {
        format!("{}{kind}{number:06}", self.prefix)
    }

    /// Rows of a table at present.
    pub(crate) fn count(&self, table: Table) -> i64 {
        self.counts[table as usize]
    }

    /// Puts a version of a row; returns when it commits.
    pub(crate) fn put(&mut self, at: Time, table: Table, number: u32, values: Vec<Value>, life: Life) -> Time {
        let source = if table.from_staff_system() {
            "hr_payroll"
        } else {
            "case_system"
        };
        let mut values = values;
        values.push(Value::from(self.authority.clone()));
        values.push(Value::from(source));
        assert_eq!(
            values.len(),
            table.columns().len(),
            "a row of {} has one value a column",
            table.name()
        );
        let row: Row = values.into();
        let previous = self.rows.remove(&(table, number));
        let at = previous.as_ref().map_or(at, |(last, _)| at.max(last.plus(1_000)));
        if previous.is_none() {
            self.counts[table as usize] += 1;
        }
        if life == Life::Open {
            self.rows.insert((table, number), (at, row.clone()));
        }
        self.pending.push(Pending {
            at,
            table,
            before: previous.map(|(_, row)| row),
            after: Some(row),
        });
        at
    }

    /// Deletes a row that may still change.
    pub(crate) fn delete(&mut self, at: Time, table: Table, number: u32) {
        if let Some((last, row)) = self.rows.remove(&(table, number)) {
            self.counts[table as usize] -= 1;
            self.pending.push(Pending {
                at: at.max(last.plus(1_000)),
                table,
                before: Some(row),
                after: None,
            });
        }
    }

    /// What was put so far, as a snapshot taken at `at`: one event a row, in table order, all at one position.
    pub(crate) fn flush_snapshot(&mut self, at: Time) -> Vec<Event> {
        let mut pending = std::mem::take(&mut self.pending);
        pending.sort_by_key(|change| change.table);
        let mut events: Vec<Event> = Vec::with_capacity(pending.len());
        self.last_at = at;
        self.lsn += 8;
        for change in pending {
            debug_assert!(change.before.is_none(), "a snapshot reads each row once");
            let first = events.last().is_none_or(|event| event.table != change.table);
            if first && let Some(event) = events.last_mut() {
                event.snapshot = Snapshot::Last;
            }
            let snapshot = if first { Snapshot::First } else { Snapshot::Inside };
            let (lsn, transaction) = (self.lsn, self.transaction);
            let table = change.table;
            events.push(Event {
                at,
                table,
                op: Op::Read,
                before: None,
                after: change.after,
                snapshot,
                lsn,
                transaction,
            });
        }
        if let Some(event) = events.last_mut() {
            event.snapshot = Snapshot::Last;
        }
        events
    }

    /// What was put since, in commit order.
    pub(crate) fn flush(&mut self) -> Vec<Event> {
        let mut pending = std::mem::take(&mut self.pending);
        pending.sort_by_key(|change| change.at);
        let mut events = Vec::with_capacity(pending.len());
        for change in pending {
            if change.at != self.last_at {
                self.transaction += 1;
            }
            assert!(change.at >= self.last_at, "commit times never fall");
            self.last_at = change.at;
            self.lsn += 56;
            let op = match (&change.before, &change.after) {
                (None, _) => Op::Create,
                (Some(_), Some(_)) => Op::Update,
                (Some(_), None) => Op::Delete,
            };
            events.push(Event {
                at: change.at,
                table: change.table,
                op,
                before: change.before,
                after: change.after,
                snapshot: Snapshot::No,
                lsn: self.lsn,
                transaction: self.transaction,
            });
        }
        events
    }
}
