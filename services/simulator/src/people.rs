//! The children, and the state of each case: what the simulation knows of them from day to day.

use crate::calendar::{Day, Time};

/// A child's record.
#[derive(Clone, Debug)]
pub(crate) struct Child {
    pub household: u32,
    pub birth_month: Day,
    pub unborn: bool,
    pub restricted: bool,
    pub merged_into: Option<u32>,
    pub last_referral: Option<Day>,
    pub open_case: Option<u32>,
}

/// A contact or referral.
#[derive(Clone, Debug)]
pub(crate) struct Referral {
    pub child: u32,
    pub kind: &'static str,
    pub received: Time,
    pub decided: Option<(Time, &'static str)>,
    pub source: &'static str,
    pub team: usize,
}

/// Where a case stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Decided for assessment, none started.
    Awaiting,
    /// Assessment under way.
    Assessing,
    /// Assessment under way, initial conference called.
    Conference,
    /// On a child in need plan.
    InNeed,
    /// On a child protection plan.
    Protected,
    /// Looked after.
    LookedAfter,
    /// A care leaver on a pathway plan.
    LeavingCare,
    /// A carer's case.
    Carer,
}

impl Stage {
    /// Needs a worker at once: the grace period is one working day whatever else.
    pub(crate) fn is_protected(self) -> bool {
        matches!(self, Self::Protected | Self::LookedAfter)
    }

    /// At the front door until its assessment is done.
    pub(crate) fn is_assessed(self) -> bool {
        matches!(self, Self::Awaiting | Self::Assessing | Self::Conference)
    }
}

/// Who holds a case.
#[derive(Clone, Debug)]
pub(crate) struct Holder {
    pub allocation: u32,
    /// None: a tray, a duty desk, a manager as such.
    pub worker: Option<usize>,
    pub kind: &'static str,
    pub team: usize,
    pub started: Time,
}

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub id: u32,
    pub kind: &'static str,
    pub started: Day,
    pub conference: Option<u32>,
    pub category: Option<&'static str>,
}

#[derive(Clone, Debug)]
pub(crate) struct Assessment {
    pub id: u32,
    pub kind: &'static str,
    pub strategy: Option<Time>,
    pub started: Time,
    pub team: usize,
    pub worker: Option<usize>,
}

#[derive(Clone, Debug)]
pub(crate) struct Placement {
    pub id: u32,
    pub kind: &'static str,
    pub legal_status: &'static str,
    pub long_term: bool,
    pub started: Day,
}

#[derive(Clone, Debug)]
pub(crate) struct Transfer {
    pub id: u32,
    pub from: usize,
    pub to: usize,
    pub requested: Time,
}

/// A case.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub child: u32,
    pub referral: Option<u32>,
    pub team: usize,
    pub opened: Time,
    pub closed: Option<(Time, &'static str)>,
    pub need: &'static str,
    pub non_social_work_lead: Option<bool>,
    /// Since when it has nobody, if it has nobody; the clock of trays too.
    pub waiting_since: Time,
    pub holder: Option<Holder>,
    pub secondary: Option<Holder>,
    pub stage: Stage,
    /// Next day something is due to happen.
    pub due: Day,
    pub assessment: Option<Assessment>,
    pub enquiry: Option<Assessment>,
    pub conference: Option<(u32, Day)>,
    pub plan: Option<Plan>,
    pub placement: Option<Placement>,
    pub transfer: Option<Transfer>,
    pub visit_due: Day,
    pub urgent: bool,
    pub pinned_until: Option<Day>,
    /// Time of the last thing that happened to it.
    pub ready: Time,
}
