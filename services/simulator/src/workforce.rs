//! The staff of an authority, planned day by day before any case is: teams, posts, contracts, absences.
//!
//! The plan depends on the profile and the seed alone, so that the numbers the Department for Education publishes
//! come out whatever the cases do: sums of full-time equivalents at each 30 September, leavers and sickness in
//! each year. What the plan decides ahead (a last day, a return) becomes known only on the day somebody would record it.

use rand_chacha::ChaCha8Rng;

use crate::calendar::{Calendar, Day};
use crate::profile::Profile;
use crate::staff_plan::Planner;

/// What a team does; names as in the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Service {
    FrontDoor,
    Safeguarding,
    LookedAfter,
    LeavingCare,
    Disability,
    Fostering,
    OutOfHours,
    Other,
}

impl Service {
    /// The contract's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::FrontDoor => "front_door",
            Self::Safeguarding => "safeguarding",
            Self::LookedAfter => "looked_after",
            Self::LeavingCare => "leaving_care",
            Self::Disability => "disability",
            Self::Fostering => "fostering_adoption",
            Self::OutOfHours => "out_of_hours",
            Self::Other => "other",
        }
    }
}

/// A team.
#[derive(Clone, Debug)]
pub struct Team {
    /// Its name.
    pub name: String,
    /// What it does.
    pub service: Service,
    /// The team above it.
    pub parent: Option<usize>,
    /// Its manager.
    pub manager: Option<usize>,
    /// Further managers of its workers, as it grows.
    pub deputies: Vec<usize>,
    /// Is it meant to hold cases?
    pub case_holding: bool,
}

/// How a worker is engaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Employment {
    Permanent,
    FixedTerm,
    Agency,
}

impl Employment {
    /// The contract's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Permanent => "permanent",
            Self::FixedTerm => "fixed_term",
            Self::Agency => "agency",
        }
    }
}

/// A person who works here.
#[derive(Clone, Debug, Default)]
pub struct Worker {
    /// Positions of the worker's contracts, oldest first.
    pub spells: Vec<usize>,
    /// Registered as a social worker?
    pub registered: bool,
    /// First day of the newly qualified year.
    pub newly_qualified_from: Option<Day>,
    /// How much more or less than others this worker is given.
    pub pace: f64,
}

/// One contract.
#[derive(Clone, Debug)]
pub struct Spell {
    /// Whose.
    pub worker: usize,
    /// How engaged.
    pub employment: Employment,
    /// DfE's role.
    pub role: &'static str,
    /// Child-and-family social work?
    pub social_work: bool,
    /// Meant to hold cases?
    pub case_holding: bool,
    /// Tenths of a full-time equivalent.
    pub fte: u32,
    /// Position of the team.
    pub team: usize,
    /// First day.
    pub started: Day,
    /// Day the contract is recorded.
    pub known: Day,
    /// Last day.
    pub ended: Option<Day>,
    /// Day the last day is recorded.
    pub end_known: Day,
    /// Why it ended.
    pub end_reason: Option<&'static str>,
    /// Does the person go on the day after, from an agency to a contract of their own?
    pub converts: bool,
    /// Position of the post it fills.
    pub post: Option<usize>,
    /// The worker to whom this one reports.
    pub line_manager: Option<usize>,
}

impl Spell {
    /// Is the contract active on this day?
    pub fn active(&self, day: Day) -> bool {
        self.started <= day && self.ended.is_none_or(|end| end >= day)
    }

    /// Is this the end of somebody's work here, and not only of a contract?
    pub(crate) fn ends_service(&self) -> bool {
        self.end_reason != Some("changed_terms") && !self.converts
    }

    pub(crate) fn direct(&self) -> bool {
        self.employment != Employment::Agency
    }
}

/// One absence.
#[derive(Clone, Debug)]
pub struct Absence {
    /// Whose.
    pub worker: usize,
    /// First day absent.
    pub started: Day,
    /// Last day expected at the start.
    pub expected: Option<Day>,
    /// Last day absent.
    pub ended: Day,
    /// The contract's reason.
    pub reason: &'static str,
    /// Does it count as long-term, from its first day or later?
    pub long: bool,
}

/// A post between two dates.
#[derive(Clone, Debug)]
pub struct PostPeriod {
    /// Number of the post; several periods may share it.
    pub post: usize,
    /// Day it is recorded.
    pub known: Day,
    /// First day.
    pub from: Day,
    /// Last day.
    pub to: Option<Day>,
    /// Tenths of a full-time equivalent.
    pub fte: u32,
    /// Position of the team.
    pub team: usize,
    /// Being recruited to?
    pub recruiting: bool,
}

/// The whole plan.
#[derive(Clone, Debug)]
pub struct Workforce {
    /// Teams.
    pub teams: Vec<Team>,
    /// Workers.
    pub workers: Vec<Worker>,
    /// Contracts.
    pub spells: Vec<Spell>,
    /// Absences.
    pub absences: Vec<Absence>,
    /// Posts.
    pub posts: Vec<PostPeriod>,
}

impl Workforce {
    /// Plans the staff from the first workforce year's 30 September to the profile's last day.
    pub fn plan(profile: &Profile, calendar: &Calendar, rng: &mut ChaCha8Rng) -> Self {
        Planner::new(profile, calendar, rng).run()
    }
}

/// The teams of an authority of this size: the top, its areas, and below them those that work with children.
pub(crate) fn teams(scale: f64) -> Vec<Team> {
    let mut teams = vec![];
    let mut add = |name: String, service, parent, case_holding| {
        teams.push(Team {
            name,
            service,
            parent,
            manager: None,
            deputies: vec![],
            case_holding,
        });
        teams.len() - 1
    };
    let top = add("Children's services".to_owned(), Service::Other, None, false);
    let areas: Vec<usize> = [
        "Front door",
        "Safeguarding and care planning",
        "Corporate parenting",
        "Quality assurance",
    ]
    .into_iter()
    .map(|name| add(name.to_owned(), Service::Other, Some(top), false))
    .collect();
    add(
        "Multi-agency safeguarding hub".to_owned(),
        Service::FrontDoor,
        Some(areas[0]),
        false,
    );
    for (service, name, count, area) in [
        (Service::FrontDoor, "First response", 6.0, 0),
        (Service::Safeguarding, "Safeguarding", 10.0, 1),
        (Service::LookedAfter, "Looked after children", 5.0, 2),
        (Service::LeavingCare, "Leaving care", 2.0, 2),
        (Service::Disability, "Disabled children", 2.0, 1),
        (Service::Fostering, "Fostering and adoption", 2.0, 2),
    ] {
        let count = ((count * scale) as usize).max(1);
        for n in 1..=count {
            let name = if count == 1 {
                name.to_owned()
            } else {
                format!("{name} {n}")
            };
            add(name, service, Some(areas[area]), service != Service::Fostering);
        }
    }
    add(
        "Emergency duty team".to_owned(),
        Service::OutOfHours,
        Some(areas[0]),
        false,
    );
    teams
}
