//! A simulated authority, stepped day by day.
//!
//! Promises: the same profile and seed give the same events, byte for byte; the first batch is the initial snapshot,
//! every later one is one day and ends with a row of `feeds` a table, recorded in the day's last microsecond, so
//! that a reader's cut reaches the end of the day. Nobody reads a clock.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::calendar::{Calendar, Day, MINUTE, SECOND, Time};
use crate::journal::{Event, Journal, Life};
use crate::people::{Case, Child, Referral};
use crate::profile::Profile;
use crate::row::{Table, row};
use crate::workforce::{Service, Workforce};

/// The events of the snapshot, or of one day.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The day, or none for the initial snapshot.
    pub day: Option<Day>,
    /// Its events in commit order.
    pub events: Vec<Event>,
    /// Open child cases without a holder when it ends.
    pub no_holder: usize,
}

/// Something that comes up on a later day.
pub(crate) enum Later {
    /// A row recorded late.
    Record {
        table: Table,
        number: u32,
        values: Vec<crate::row::Value>,
        life: Life,
    },
    /// A record made by mistake goes.
    Delete { table: Table, number: u32 },
    /// Two records turn out to be one child.
    Merge { from: u32, into: u32 },
    /// The receiving team accepts a case.
    Accept { case: u32, transfer: u32 },
}

/// What staff records say on a day.
pub(crate) enum StaffChange {
    Contract(usize),
    AbsenceStart(usize),
    AbsenceEnd(usize),
    Post(usize),
    /// The worker's cases need someone else.
    Release(usize),
    TeamRenamed(usize),
}

#[derive(Default)]
pub(crate) struct Numbers {
    pub plans: u32,
    pub allocations: u32,
    pub transfers: u32,
    pub assessments: u32,
    pub conferences: u32,
    pub visits: u32,
    pub supervisions: u32,
    pub placements: u32,
    pub feeds: u32,
}

/// Referrals of the year so far.
#[derive(Default)]
pub(crate) struct YearSoFar {
    pub from: i32,
    pub received: f64,
    pub repeated: f64,
    pub decided: f64,
    pub no_further_action: f64,
}

/// A simulated authority.
pub struct Simulation {
    pub(crate) profile: Profile,
    pub(crate) calendar: Arc<Calendar>,
    pub(crate) rng: ChaCha8Rng,
    pub(crate) journal: Journal,
    pub(crate) staff: Workforce,
    pub(crate) staff_changes: BTreeMap<Day, Vec<StaffChange>>,
    /// By worker: cases held.
    pub(crate) held: Vec<Vec<u32>>,
    /// By worker: is the record written?
    pub(crate) written: Vec<bool>,
    /// Workers whose cases need someone else today.
    pub(crate) releases: Vec<usize>,
    /// By worker: at work today.
    pub(crate) present: Vec<bool>,
    /// By team: workers who can be given a case today.
    pub(crate) available: Vec<Vec<usize>>,
    pub(crate) children: Vec<Child>,
    pub(crate) households: Vec<Vec<u32>>,
    pub(crate) referrals: Vec<Referral>,
    pub(crate) cases: Vec<Case>,
    /// Open child cases.
    pub(crate) open: Vec<u32>,
    /// Open child cases without a holder.
    pub(crate) waiting: Vec<u32>,
    /// Cases on trays, and until when.
    pub(crate) trays: Vec<(u32, Day)>,
    /// Cases left with somebody who has gone, and until when.
    pub(crate) stuck: Vec<(u32, Day)>,
    pub(crate) recent: VecDeque<(Day, u32)>,
    pub(crate) year: YearSoFar,
    pub(crate) undecided: Vec<u32>,
    pub(crate) later: BTreeMap<Day, Vec<Later>>,
    /// Cases held by people who are no social workers.
    pub(crate) held_by_others: usize,
    pub(crate) numbers: Numbers,
    /// The day to simulate next.
    next_day: Day,
    opened: bool,
}

impl Simulation {
    /// Sets an authority up; nothing happens before the first [`Self::step`].
    pub fn new(profile: Profile, seed: u64) -> Self {
        let calendar = Arc::new(Calendar::new());
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let staff = Workforce::plan(&profile, &calendar, &mut rng);
        let (workers, teams) = (staff.workers.len(), staff.teams.len());
        Self {
            journal: Journal::new(&profile.authority, &profile.prefix),
            next_day: profile.first_day,
            profile,
            calendar,
            rng,
            staff,
            staff_changes: BTreeMap::new(),
            held: vec![vec![]; workers],
            written: vec![false; workers],
            releases: vec![],
            present: vec![false; workers],
            available: vec![vec![]; teams],
            children: vec![],
            households: vec![],
            referrals: vec![],
            cases: vec![],
            open: vec![],
            waiting: vec![],
            trays: vec![],
            stuck: vec![],
            recent: VecDeque::new(),
            year: YearSoFar::default(),
            undecided: vec![],
            later: BTreeMap::new(),
            held_by_others: 0,
            numbers: Numbers::default(),
            opened: false,
        }
    }

    /// The day the next step simulates.
    pub fn next_day(&self) -> Day {
        self.next_day
    }

    /// The last day of the profile.
    pub fn last_day(&self) -> Day {
        self.profile.last_day
    }

    /// The snapshot first, then a day at a time; none after the last day.
    pub fn step(&mut self) -> Option<Batch> {
        if !self.opened {
            self.opened = true;
            let day = self.profile.first_day;
            self.open_authority();
            self.feeds(self.calendar.midnight(day).plus(-1));
            let events = self.journal.flush_snapshot(self.calendar.midnight(day).plus(SECOND));
            return Some(Batch {
                day: None,
                events,
                no_holder: self.waiting.len(),
            });
        }
        let day = self.next_day;
        if day > self.profile.last_day {
            return None;
        }
        self.next_day = day.plus(1);
        self.live(day);
        self.feeds(self.calendar.end_of(day));
        Some(Batch {
            day: Some(day),
            events: self.journal.flush(),
            no_holder: self.waiting.len(),
        })
    }

    /// Steps up to and including a day.
    pub fn run_until(&mut self, day: Day) -> Vec<Event> {
        let mut events = vec![];
        while !self.opened || self.next_day <= day {
            match self.step() {
                Some(batch) => events.extend(batch.events),
                None => break,
            }
        }
        events
    }

    fn live(&mut self, day: Day) {
        self.record_staff(day);
        self.look_who_is_here(day);
        self.record_late(day);
        self.receive(day);
        if self.calendar.is_working(day) {
            self.work_cases(day);
            self.release_cases(day);
            self.meet(day);
            self.visit_and_supervise(day);
        }
    }

    fn record_late(&mut self, day: Day) {
        for what in self.later.remove(&day).unwrap_or_default() {
            let at = self.moment(day, 9 * 60, 17 * 60 + 30);
            match what {
                Later::Record {
                    table,
                    number,
                    values,
                    life,
                } => {
                    self.journal.put(at, table, number, values, life);
                }
                Later::Delete { table, number } => self.journal.delete(at, table, number),
                Later::Merge { from, into } => self.merge(at, from, into),
                Later::Accept { case, transfer } => self.accept(day, case, transfer),
            }
        }
    }

    /// One delivery a table, described and recorded at `at`.
    fn feeds(&mut self, at: Time) {
        let next = at.plus(26 * 60 * MINUTE);
        for table in Table::ALL {
            let rows = self.journal.count(table) + i64::from(table == Table::Feeds);
            let feed = if table.from_staff_system() {
                "hr_payroll"
            } else {
                "case_system"
            };
            self.numbers.feeds += 1;
            let values = row![feed, table.name(), at, rows, None::<Day>, next, true];
            self.journal
                .put(at, Table::Feeds, self.numbers.feeds, values, Life::Over);
        }
    }

    // Chance and time.

    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.rng.random_bool(probability.clamp(0.0, 1.0))
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.rng.random_range(0..from.len())]
    }

    /// A random instant of a day between two minutes of London's clock.
    pub(crate) fn moment(&mut self, day: Day, from_minute: i64, to_minute: i64) -> Time {
        let second = self.rng.random_range(from_minute * 60..to_minute * 60);
        self.calendar.at(day, second).plus(self.rng.random_range(0..SECOND))
    }

    /// The same, but after the last thing that happened to the case.
    pub(crate) fn moment_of(&mut self, case: u32, day: Day, from_minute: i64, to_minute: i64) -> Time {
        let time = self.moment(day, from_minute, to_minute);
        let case = &mut self.cases[case as usize];
        case.ready = time.max(case.ready.plus(MINUTE));
        case.ready
    }

    pub(crate) fn workdays(&self, from: Day, to: Day) -> i32 {
        self.calendar.working_days_between(from, to)
    }

    pub(crate) fn after_workdays(&mut self, day: Day, from: i32, to: i32) -> Day {
        let days = self.rng.random_range(from..=to);
        self.calendar.add_working_days(day, days)
    }

    pub(crate) fn later(&mut self, day: Day, what: Later) {
        self.later.entry(day).or_default().push(what);
    }

    // Names.

    pub(crate) fn team_id(&self, team: usize) -> String {
        self.journal.id("T", team as u32 + 1)
    }

    pub(crate) fn worker_id(&self, worker: usize) -> String {
        self.journal.id("W", worker as u32 + 1)
    }

    pub(crate) fn child_id(&self, child: u32) -> String {
        self.journal.id("CH", child + 1)
    }

    pub(crate) fn case_id(&self, case: u32) -> String {
        self.journal.id("C", case + 1)
    }

    // Teams and people.

    pub(crate) fn teams_of(&self, service: Service) -> Vec<usize> {
        let holds = |t: &usize| {
            self.staff.teams[*t].service == service
                && (self.staff.teams[*t].case_holding || service == Service::Fostering)
        };
        (0..self.staff.teams.len()).filter(holds).collect()
    }

    pub(crate) fn at_front_door(&self, case: u32) -> bool {
        self.staff.teams[self.cases[case as usize].team].service == Service::FrontDoor
    }

    pub(crate) fn age(&self, child: u32, day: Day) -> f64 {
        f64::from(day.0 - self.children[child as usize].birth_month.0) / 365.25
    }
}
