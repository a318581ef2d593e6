//! The seventeen tables as the simulator writes them, and the values of a row.
//!
//! Invariant: a row has exactly one value a column, in the order of [`Table::columns`]. A test holds the
//! columns here against `schemas/*.avsc`.

use std::borrow::Cow;
use std::sync::LazyLock;

use crate::calendar::{Day, Time};

/// A table of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Table {
    Teams,
    Workers,
    Contracts,
    Posts,
    Absences,
    Children,
    Referrals,
    Cases,
    Plans,
    Allocations,
    Transfers,
    Assessments,
    Conferences,
    Visits,
    Supervisions,
    Placements,
    Feeds,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text, or one of a closed list.
    Text,
    /// A civil date.
    Date,
    /// An instant.
    Time,
    /// A decimal with three places.
    Decimal,
    /// True or false.
    Bool,
    /// A whole number.
    Int,
}

/// One column.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its name in the contract.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// May it be null?
    pub nullable: bool,
    /// Is it part of the key?
    pub key: bool,
}

/// The contract in short: `*` key, `?` nullable, then the kind.
const SPECS: [(&str, &str); 17] = [
    (
        "teams",
        "team_id*:s valid_from*:d valid_to?:d name:s parent_team_id?:s service:s manager_worker_id?:s case_holding:b",
    ),
    (
        "workers",
        "worker_id*:s hr_ref?:s swe_ref?:s swe_registered:b asye_started_on?:d asye_ends_on?:d",
    ),
    (
        "contracts",
        "contract_id*:s worker_id:s employment:s role:s child_family_sw:b case_holding:b fte?:f working_days?:s \
         team_id:s line_manager_id?:s post_id?:s started_on:d ended_on?:d end_reason?:s start_origin?:s \
         leaver_destination?:s",
    ),
    (
        "posts",
        "post_id*:s valid_from*:d valid_to?:d team_id?:s role:s fte:f recruiting?:b aggregate_vacant_fte?:f",
    ),
    (
        "absences",
        "absence_id*:s worker_id:s started_on:d expected_end_on?:d ended_on?:d reason:s fte_days_lost?:f",
    ),
    (
        "children",
        "child_id*:s household_id?:s birth_month?:d expected_birth_month?:d died_on?:d merged_into?:s restricted:b",
    ),
    (
        "referrals",
        "referral_id*:s child_id:s kind:s received_at:t decided_at?:t decision?:s source?:s team_id:s",
    ),
    (
        "cases",
        "case_id*:s child_id:s referral_id?:s subject:s team_id:s opened_at:t closed_at?:t closure_reason?:s \
         primary_need?:s non_sw_lead_agreed?:b",
    ),
    (
        "plans",
        "plan_id*:s case_id:s kind:s started_on:d ended_on?:d end_reason?:s conference_id?:s category_initial?:s \
         category_latest?:s previous_cp_plans?:i last_cp_ended_on?:d visit_every?:i visit_unit?:s",
    ),
    (
        "allocations",
        "allocation_id*:s case_id:s team_id:s worker_id?:s role:s holder_kind:s started_at:t ended_at?:t end_reason?:s",
    ),
    (
        "transfers",
        "transfer_id*:s case_id:s from_team_id:s to_team_id:s requested_at:t accepted_at?:t cancelled_at?:t",
    ),
    (
        "assessments",
        "assessment_id*:s case_id:s kind:s strategy_discussion_at?:t started_at:t authorised_at?:t cancelled_at?:t \
         child_seen?:b outcome?:s team_id:s worker_id?:s",
    ),
    (
        "conferences",
        "conference_id*:s case_id:s kind:s section_47_id?:s due_on?:d held_on?:d cancelled_at?:t outcome?:s",
    ),
    (
        "visits",
        "visit_id*:s case_id:s plan_id?:s placement_id?:s worker_id?:s kind:s planned_for?:d visited_at?:t seen?:b \
         seen_alone:s",
    ),
    (
        "supervisions",
        "supervision_id*:s kind:s worker_id:s supervisor_id:s case_id?:s held_at:t",
    ),
    (
        "placements",
        "placement_id*:s case_id:s kind:s legal_status?:s long_term:b first_review_on?:d visit_regime?:s \
         started_on:d ended_on?:d suitable?:b",
    ),
    (
        "feeds",
        "feed_id*:s table*:s as_at*:t rows:i window_from?:d expected_next_by:t complete:b",
    ),
];

static COLUMNS: LazyLock<Vec<Vec<Column>>> = LazyLock::new(|| {
    SPECS
        .iter()
        .map(|(_, spec)| {
            spec.split_whitespace()
                .chain(["authority:s", "source_system:s"])
                .map(column)
                .collect()
        })
        .collect()
});

fn column(spec: &'static str) -> Column {
    let (marked, kind) = spec.split_once(':').expect("a spec is name:kind");
    let kind = match kind {
        "s" => Kind::Text,
        "d" => Kind::Date,
        "t" => Kind::Time,
        "f" => Kind::Decimal,
        "b" => Kind::Bool,
        _ => Kind::Int,
    };
    let name = marked.trim_end_matches(['*', '?']);
    Column {
        name,
        kind,
        nullable: marked.ends_with('?'),
        key: marked.ends_with('*'),
    }
}

impl Table {
    /// Every table, in an order in which a row's references come first.
    pub const ALL: [Self; 17] = [
        Self::Teams,
        Self::Workers,
        Self::Contracts,
        Self::Posts,
        Self::Absences,
        Self::Children,
        Self::Referrals,
        Self::Cases,
        Self::Plans,
        Self::Allocations,
        Self::Transfers,
        Self::Assessments,
        Self::Conferences,
        Self::Visits,
        Self::Supervisions,
        Self::Placements,
        Self::Feeds,
    ];

    /// The table's name in the contract.
    pub fn name(self) -> &'static str {
        SPECS[self as usize].0
    }

    /// The table of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.name() == name)
    }

    /// Its columns, `authority` and `source_system` last.
    pub fn columns(self) -> &'static [Column] {
        &COLUMNS[self as usize]
    }

    /// Where a column stands in a row.
    pub fn position(self, column: &str) -> Option<usize> {
        self.columns().iter().position(|c| c.name == column)
    }

    /// Does the staff system, not the case system, supply it?
    pub fn from_staff_system(self) -> bool {
        matches!(self, Self::Contracts | Self::Posts | Self::Absences)
    }
}

/// One value of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Value {
    Null,
    Text(Cow<'static, str>),
    Date(Day),
    Time(Time),
    /// Thousandths.
    Decimal(i64),
    Bool(bool),
    Int(i64),
}

/// The values of one row in the order of its table's columns.
pub type Row = std::sync::Arc<[Value]>;

/// Hundredths or tenths have no place here: thousandths, as the contract's decimals.
#[derive(Clone, Copy, Debug)]
pub struct Thousandths(pub i64);

impl Value {
    /// The text, if this is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The day, if this is one.
    pub fn day(&self) -> Option<Day> {
        match self {
            Self::Date(day) => Some(*day),
            _ => None,
        }
    }

    /// The instant, if this is one.
    pub fn time(&self) -> Option<Time> {
        match self {
            Self::Time(time) => Some(*time),
            _ => None,
        }
    }

    /// The decimal's thousandths, if this is one.
    pub fn thousandths(&self) -> Option<i64> {
        match self {
            Self::Decimal(value) => Some(*value),
            _ => None,
        }
    }

    /// True only for a true boolean.
    pub fn is_true(&self) -> bool {
        matches!(self, Self::Bool(true))
    }
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}
impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}
impl From<Day> for Value {
    fn from(day: Day) -> Self {
        Self::Date(day)
    }
}
impl From<Time> for Value {
    fn from(time: Time) -> Self {
        Self::Time(time)
    }
}
impl From<Thousandths> for Value {
    fn from(value: Thousandths) -> Self {
        Self::Decimal(value.0)
    }
}
impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}
impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}
impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A row from values that convert, in column order, without the two columns every table ends with.
macro_rules! row {
    ($($value:expr),* $(,)?) => { vec![$($crate::row::Value::from($value)),*] };
}
pub(crate) use row;
