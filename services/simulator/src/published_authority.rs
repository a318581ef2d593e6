//! An authority made from published figures: staff and cases of which DfE's own counting gives the numbers that it
//! published, year after year, as change events.
//!
//! Promises: at the end of each 30 September of the file the full-time equivalents in post, of agency staff, of vacancies and
//! of those who hold cases, the cases they hold, and the leavers and days lost of the year are the published ones to a
//! thousandth. A withheld figure stays as the year before had it. Beside them stands what the definitions leave
//! out, so that a wrong definition shows: family support workers with cases and posts, the self-employed, maternity
//! leave, changes of hours that are no leaving, cases that nobody holds. Nothing is left to chance: there is no seed.
//!
//! The files in the order things happen: `published` (the figures), this one (which figures hold in a year, and the days),
//! `published_staff` (contracts, posts), `published_absences`, `published_cases` (cases and who holds them).

use std::collections::VecDeque;
use std::sync::Arc;

use crate::calendar::{Calendar, Day, MINUTE, SECOND};
use crate::journal::{Event, Journal, Life};
use crate::published::PublishedYear;
use crate::published_cases::OpenCase;
use crate::published_staff::{Person, Post};
use crate::row::{Table, row};
use crate::simulation::Batch;

/// The tables that such an authority supplies.
pub(crate) const SUPPLIED: [Table; 8] = [
    Table::Teams,
    Table::Workers,
    Table::Contracts,
    Table::Posts,
    Table::Absences,
    Table::Cases,
    Table::Allocations,
    Table::Feeds,
];

/// What is to come out of a year, in thousandths (cases aside): the published figures, with what was withheld filled in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Aims {
    pub in_post: i64,
    /// None: whoever is too many leaves.
    pub leavers: Option<i64>,
    pub agency: i64,
    pub vacancy: i64,
    /// Of those in post, the ones who hold cases.
    pub direct_holders: i64,
    /// Of the agency's, the ones who hold cases.
    pub agency_holders: i64,
    pub cases: i64,
    pub days_lost: i64,
}

impl Aims {
    fn of(year: &PublishedYear, before: Option<&Self>) -> Self {
        let kept = |figure: Option<i64>, past: fn(&Self) -> i64| figure.or(before.map(past)).unwrap_or(0);
        let in_post = kept(year.in_post, |past| past.in_post);
        let mut agency = kept(year.agency, |past| past.agency);
        let past = before.map(|past| (past.direct_holders + past.agency_holders, past.cases));
        let (mut holders, cases) = year.case_holders.zip(year.cases).or(past).unwrap_or((0, 0));
        if year.agency.is_none() {
            agency = agency.max(holders - in_post);
        }
        holders = holders.min(in_post + agency);
        // The agency's share of those who hold cases is its share of all, in whole tenths.
        let share = holders * agency / (in_post + agency).max(1) / 100 * 100;
        let agency_holders = share.max(holders - in_post);
        Self {
            in_post,
            leavers: year.leavers,
            agency,
            vacancy: kept(year.vacancy, |past| past.vacancy),
            direct_holders: holders - agency_holders,
            agency_holders,
            cases: if holders == 0 { 0 } else { cases },
            days_lost: year.days_lost.unwrap_or(0),
        }
    }
}

/// The last number given of each kind.
#[derive(Default)]
pub(crate) struct Numbers {
    pub workers: u32,
    pub contracts: u32,
    pub posts: u32,
    pub post_versions: u32,
    pub absences: u32,
    pub cases: u32,
    pub allocations: u32,
    pub feeds: u32,
}

/// From 1 October to 30 September.
#[derive(Clone, Copy)]
pub(crate) struct Year {
    pub first: Day,
    pub last: Day,
}

impl Year {
    pub(crate) fn to(year: i32) -> Self {
        Self {
            first: Day::of(year - 1, 10, 1),
            last: Day::of(year, 9, 30),
        }
    }

    /// The `n`-th of days spread over the year, at least `after` days from its beginning and 30 before its end.
    pub(crate) fn spread(self, n: usize, after: i32) -> Day {
        let room = self.last.0 - self.first.0 - after - 30;
        self.first.plus(after + (n as i32 * 37) % room)
    }
}

/// An authority of the file, stepped day by day.
pub struct PublishedAuthority {
    pub(crate) calendar: Arc<Calendar>,
    pub(crate) journal: Journal,
    pub(crate) numbers: Numbers,
    pub(crate) direct: Vec<Person>,
    pub(crate) agency: Vec<Person>,
    /// People outside child-and-family social work, who count in none of the figures.
    pub(crate) support: Vec<Person>,
    /// Those who leave in the first year, and were there before it.
    pub(crate) first_leavers: Vec<Person>,
    pub(crate) vacant: Vec<Post>,
    pub(crate) unheld: Vec<OpenCase>,
    years: VecDeque<PublishedYear>,
    aims: Option<Aims>,
    next_day: Day,
    last_day: Day,
    opened: bool,
    queue: VecDeque<Event>,
}

impl PublishedAuthority {
    /// An authority with these figures, years ascending; it is stepped from `first_day` to `last_day`.
    pub(crate) fn new(
        code: &str,
        prefix: &str,
        years: &[PublishedYear],
        calendar: Arc<Calendar>,
        (first_day, last_day): (Day, Day),
    ) -> Self {
        Self {
            calendar,
            journal: Journal::new(code, prefix),
            numbers: Numbers::default(),
            direct: vec![],
            agency: vec![],
            support: vec![],
            first_leavers: vec![],
            vacant: vec![],
            unheld: vec![],
            years: years.iter().copied().collect(),
            aims: None,
            next_day: first_day,
            last_day,
            opened: false,
            queue: VecDeque::new(),
        }
    }

    /// The day the next step is about.
    pub fn next_day(&self) -> Day {
        self.next_day
    }

    /// What was there on the first day, as a snapshot; then a day at a time; none after the last day.
    pub fn step(&mut self) -> Option<Batch> {
        let day = self.next_day;
        if !self.opened {
            self.opened = true;
            let events = match self.year_from(day) {
                Some(figures) => {
                    self.open(&Aims::of(&figures, None), day);
                    self.journal.flush_snapshot(self.calendar.midnight(day).plus(SECOND))
                }
                None => vec![],
            };
            return Some(self.batch(None, events));
        }
        if day > self.last_day {
            return None;
        }
        self.next_day = day.plus(1);
        if let Some(figures) = self.year_from(day) {
            self.years.pop_front();
            self.live(&figures, Year::to(figures.year));
            self.queue.extend(self.journal.flush());
        }
        let end = self.calendar.end_of(day);
        let count = self.queue.partition_point(|event| event.at <= end);
        let events = self.queue.drain(..count).collect();
        Some(self.batch(Some(day), events))
    }

    fn batch(&self, day: Option<Day>, events: Vec<Event>) -> Batch {
        Batch {
            day,
            events,
            no_holder: self.unheld.len(),
        }
    }

    /// The figures of the year that begins on this day.
    fn year_from(&self, day: Day) -> Option<PublishedYear> {
        self.years
            .front()
            .filter(|figures| Year::to(figures.year).first == day)
            .copied()
    }

    /// Everything that happens in a year.
    fn live(&mut self, figures: &PublishedYear, year: Year) {
        let aims = Aims::of(figures, self.aims.as_ref());
        if self.numbers.workers == 0 {
            self.open(&aims, year.first);
        }
        self.aims = Some(aims);
        self.staff_year(&aims, year);
        self.case_year(&aims, year);
        let end = self.calendar.end_of(year.last);
        for table in SUPPLIED {
            let rows = self.journal.count(table) + i64::from(table == Table::Feeds);
            let feed = if table.from_staff_system() {
                "hr_payroll"
            } else {
                "case_system"
            };
            self.numbers.feeds += 1;
            let values = row![
                feed,
                table.name(),
                end,
                rows,
                None::<Day>,
                end.plus(26 * 60 * MINUTE),
                true
            ];
            self.journal
                .put(end, Table::Feeds, self.numbers.feeds, values, Life::Over);
        }
    }

    /// What was there before `day`: teams, staff, posts and cases as the first year's figures have them.
    fn open(&mut self, aims: &Aims, day: Day) {
        let at = self.calendar.midnight(day).plus(SECOND);
        for (number, name, service) in [(1, "Safeguarding", "safeguarding"), (2, "Family support", "other")] {
            let values = row![
                self.journal.id("T", number),
                Day::of(2010, 4, 1),
                None::<Day>,
                name,
                None::<&'static str>,
                service,
                None::<&'static str>,
                true
            ];
            self.journal.put(at, Table::Teams, number, values, Life::Open);
        }
        self.open_staff(aims, day, at);
        self.open_cases(aims, day, at);
    }
}
