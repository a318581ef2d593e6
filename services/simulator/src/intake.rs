//! The front door: contacts and referrals, decisions, the cases they open, and records that turn out to be one child.
//!
//! Numbers come from quotas: the year's referrals spread over its days, the shares of repeated referrals and of no
//! further action held to the profile's by correcting each choice with what the year has so far.

use chrono::Datelike;
use rand::Rng;

use crate::calendar::{Day, MINUTE, Time};
use crate::journal::Life;
use crate::people::{Case, Child, Referral, Stage};
use crate::row::Table;
use crate::simulation::{Later, Simulation, YearSoFar};
use crate::workforce::Service;

/// What a non-working day weighs against a working one.
const QUIET_DAY: f64 = 0.05;

impl Simulation {
    /// Decisions left over, then the day's referrals and contacts.
    pub(crate) fn receive(&mut self, day: Day) {
        if self.calendar.is_working(day) {
            for referral in std::mem::take(&mut self.undecided) {
                let at = self.moment(day, 9 * 60, 11 * 60);
                self.decide(referral, day, at, None);
            }
        }
        let pinned = self
            .profile
            .pinned
            .clone()
            .into_iter()
            .find(|p| p.from == day && !p.in_transfer);
        if let Some(pinned) = pinned {
            self.receive_pinned(day, pinned.until);
        }
        while self.year.received < self.expected_by(day) {
            self.receive_household(day, false);
        }
        self.contacts(day);
    }

    /// The referrals of the years before the first day, without the cases they led to.
    pub(crate) fn receive_history(&mut self) {
        let from = Day::of(self.profile.first_day.date().year() - 2, 4, 1);
        for number in from.0..self.profile.first_day.0 {
            let day = Day(number);
            while self.year.received < self.expected_by(day) {
                self.receive_household(day, true);
            }
        }
    }

    /// Referrals the year should have had by the end of this day; a new year starts from nothing.
    fn expected_by(&mut self, day: Day) -> f64 {
        let date = day.date();
        let mut from = date.year();
        if day < Day::of(from, 4, 1) {
            from -= 1;
        }
        if self.year.from != from {
            self.year = YearSoFar {
                from,
                ..YearSoFar::default()
            };
        }
        let weight = |a: Day, b: Day| {
            let working = f64::from(self.workdays(a, b));
            working + QUIET_DAY * (f64::from(b.0 - a.0) - working)
        };
        let (first, last) = (Day::of(from, 3, 31), Day::of(from + 1, 3, 31));
        let total = self.profile.referral_year(day).referrals;
        // Days differ, the year does not.
        let wobble = if day == last {
            0.0
        } else {
            f64::from((day.0 * 7919) % 9 - 4) * self.profile.scale
        };
        total * weight(first, day) / weight(first, last) + wobble
    }

    /// Corrects a probability by what the year has so far.
    fn steered(&mut self, share: f64, so_far: f64, of: f64) -> bool {
        let probability = share + 0.04 * (share * of - so_far);
        self.chance(probability)
    }

    fn receive_household(&mut self, day: Day, history: bool) {
        let year = self.profile.referral_year(day);
        let repeated = self.steered(year.re_referral, self.year.repeated, self.year.received);
        let again = if repeated { self.known_household(day) } else { None };
        let received = self.moment(day, 8 * 60 + 40, 15 * 60);
        let children = match again {
            Some(children) => {
                self.year.repeated += children.len() as f64;
                children
            }
            None => self.new_household(day, received, history),
        };
        let working = self.calendar.is_working(day);
        let prompt = history || if working { self.chance(0.85) } else { self.chance(0.3) };
        let team = if working { self.hub() } else { self.duty_team() };
        let source = self.pick(&["1A", "1B", "2A", "3A", "3C", "4", "5A", "6", "7", "8", "9", "10"]);
        let decision = match (prompt, working || history) {
            (true, true) => Some(self.decision(day, children.len())),
            (true, false) => {
                self.year.decided += children.len() as f64;
                Some("section_47")
            }
            (false, _) => None,
        };
        let at = received.plus(self.rng.random_range(20..55) * MINUTE);
        self.year.received += children.len() as f64;
        for child in children {
            self.children[child as usize].last_referral = Some(day);
            self.recent.push_back((day, child));
            let number = self.referrals.len() as u32;
            self.referrals.push(Referral {
                child,
                kind: "referral",
                received,
                decided: None,
                source,
                team,
            });
            if history {
                self.referrals[number as usize].decided = decision.map(|decision| (at, decision));
                continue;
            }
            self.put_referral(received, number, Life::Open);
            match decision {
                Some(decision) => self.decide(number, day, at, Some(decision)),
                None => self.undecided.push(number),
            }
        }
    }

    /// Siblings share a decision, which counts once a child.
    fn decision(&mut self, day: Day, children: usize) -> &'static str {
        let year = self.profile.referral_year(day);
        let none = self.steered(year.no_further_action, self.year.no_further_action, self.year.decided);
        self.year.decided += children as f64;
        if none {
            self.year.no_further_action += children as f64;
            return "nfa";
        }
        let assessed = year.assessed / (1.0 - year.no_further_action);
        match (self.chance(assessed), self.chance(0.15), self.chance(0.5)) {
            (true, true, _) => "section_47",
            (true, false, _) => "assessment",
            (false, _, true) => "early_help",
            (false, _, false) => "advice",
        }
    }

    fn decide(&mut self, number: u32, day: Day, at: Time, decision: Option<&'static str>) {
        let decision = match decision {
            Some(decision) => decision,
            None => self.decision(day, 1),
        };
        let at = at.max(self.referrals[number as usize].received.plus(5 * MINUTE));
        self.referrals[number as usize].decided = Some((at, decision));
        self.put_referral(at, number, Life::Over);
        if matches!(decision, "assessment" | "section_47") {
            self.open_case(number, at, decision == "section_47");
        }
    }

    /// A decision for assessment opens the child's case at the front door.
    fn open_case(&mut self, referral: u32, at: Time, urgent: bool) -> Option<u32> {
        let child = self.referrals[referral as usize].child;
        if self.children[child as usize].open_case.is_some() {
            return None;
        }
        let teams = self.teams_of(Service::FrontDoor);
        let team = self.pick(&teams);
        let need = self.pick(&["N1", "N1", "N1", "N1", "N2", "N3", "N4", "N5", "N5", "N6", "N8"]);
        let number = self.add_case(Case {
            referral: Some(referral),
            urgent,
            ..blank_case(child, team, at, need, Stage::Awaiting, self.calendar.day_of(at))
        });
        self.put_case(at, number);
        self.waiting.push(number);
        Some(number)
    }

    pub(crate) fn add_case(&mut self, case: Case) -> u32 {
        let number = self.cases.len() as u32;
        self.children[case.child as usize].open_case = Some(number);
        if case.stage != Stage::Carer {
            self.open.push(number);
        }
        self.cases.push(case);
        number
    }

    /// The emergency duty team opens one on a quiet day; nobody picks it up.
    fn receive_pinned(&mut self, day: Day, until: Day) {
        let received = self.moment(day, 10 * 60, 11 * 60);
        let children = self.new_household(day, received, false);
        let child = children[0];
        self.year.received += 1.0;
        let number = self.referrals.len() as u32;
        let team = self.duty_team();
        self.children[child as usize].last_referral = Some(day);
        self.referrals.push(Referral {
            child,
            kind: "referral",
            received,
            decided: None,
            source: "6",
            team,
        });
        self.put_referral(received, number, Life::Open);
        self.year.decided += 1.0;
        let at = received.plus(40 * MINUTE);
        self.referrals[number as usize].decided = Some((at, "assessment"));
        self.put_referral(at, number, Life::Over);
        if let Some(case) = self.open_case(number, at, false) {
            self.cases[case as usize].pinned_until = Some(until);
        }
    }

    /// Children of one household referred less than a year ago, none of them with an open case.
    fn known_household(&mut self, day: Day) -> Option<Vec<u32>> {
        while self.recent.front().is_some_and(|(then, _)| then.plus(360) < day) {
            self.recent.pop_front();
        }
        for _ in 0..12 {
            if self.recent.is_empty() {
                return None;
            }
            let (_, child) = self.recent[self.rng.random_range(0..self.recent.len())];
            let free = |child: &u32| {
                let child = &self.children[*child as usize];
                let last = child
                    .last_referral
                    .is_some_and(|last| last < day && last.plus(360) >= day);
                last && child.open_case.is_none() && child.merged_into.is_none()
            };
            if free(&child) {
                let household = &self.households[self.children[child as usize].household as usize];
                let mut children: Vec<u32> = household
                    .iter()
                    .copied()
                    .filter(|c| free(c) && *c != child)
                    .take(2)
                    .collect();
                children.push(child);
                return Some(children);
            }
        }
        None
    }

    fn new_household(&mut self, day: Day, at: Time, history: bool) -> Vec<u32> {
        let size = match self.rng.random_range(0..100) {
            0..58 => 1,
            58..83 => 2,
            83..95 => 3,
            _ => 4,
        };
        let household = self.households.len() as u32;
        self.households.push(vec![]);
        let children: Vec<u32> = (0..size).map(|_| self.new_child(household, day, at, history)).collect();
        if !history && size == 1 && self.chance(0.006) {
            self.will_be_merged(children[0], day);
        }
        children
    }

    pub(crate) fn new_child(&mut self, household: u32, day: Day, at: Time, history: bool) -> u32 {
        let number = self.children.len() as u32;
        let unborn = self.chance(0.015);
        let age = if unborn {
            -self.rng.random_range(20..200)
        } else {
            self.rng.random_range(0..17 * 365)
        };
        let restricted = self.chance(0.005);
        self.children.push(Child {
            household,
            birth_month: day.plus(-age).month(),
            unborn,
            restricted,
            merged_into: None,
            last_referral: None,
            open_case: None,
        });
        self.households[household as usize].push(number);
        if !history {
            self.put_child(at, number);
        }
        number
    }

    /// This record will be found to be a child already known.
    fn will_be_merged(&mut self, from: u32, day: Day) {
        let into = self.rng.random_range(0..self.children.len() as u32);
        if into != from && self.children[into as usize].merged_into.is_none() {
            let found = self.after_workdays(day, 8, 50);
            self.later(found, Later::Merge { from, into });
        }
    }

    /// Two records of one child become one, unless both have an open case or either was merged since.
    pub(crate) fn merge(&mut self, at: Time, from: u32, into: u32) {
        let (loser, winner) = (&self.children[from as usize], &self.children[into as usize]);
        if loser.open_case.is_some() || loser.merged_into.is_some() || winner.merged_into.is_some() {
            return;
        }
        self.children[from as usize].merged_into = Some(into);
        self.put_child(at, from);
    }

    fn contacts(&mut self, day: Day) {
        let usual = self.profile.scale * if self.calendar.is_working(day) { 32.0 } else { 4.0 };
        let count = usual + self.rng.random_range(0.0..1.0);
        for _ in 0..count as usize {
            let at = self.moment(day, 8 * 60 + 40, 17 * 60);
            let child = if self.chance(0.6) {
                self.rng.random_range(0..self.children.len() as u32)
            } else {
                self.households.push(vec![]);
                self.new_child(self.households.len() as u32 - 1, day, at, false)
            };
            let team = self.hub();
            let decision = self.pick(&["nfa", "advice", "advice", "early_help", "nfa"]);
            let source = self.pick(&["1A", "1B", "2A", "3A", "5A", "6", "8"]);
            let decided = Some((at.plus(15 * MINUTE), decision));
            let number = self.referrals.len() as u32;
            self.referrals.push(Referral {
                child,
                kind: "contact",
                received: at,
                decided,
                source,
                team,
            });
            let mistake = self.chance(0.01);
            let life = if mistake { Life::Open } else { Life::Over };
            self.put_referral(at.plus(16 * MINUTE), number, life);
            if mistake {
                let found = self.after_workdays(day, 1, 3);
                self.later(
                    found,
                    Later::Delete {
                        table: Table::Referrals,
                        number,
                    },
                );
            }
        }
    }

    fn hub(&self) -> usize {
        self.staff
            .teams
            .iter()
            .position(|t| t.service == Service::FrontDoor)
            .expect("every authority has a hub")
    }

    fn duty_team(&self) -> usize {
        self.staff
            .teams
            .iter()
            .position(|t| t.service == Service::OutOfHours)
            .expect("every authority has one out of hours")
    }
}

/// A case at its opening.
pub(crate) fn blank_case(child: u32, team: usize, opened: Time, need: &'static str, stage: Stage, due: Day) -> Case {
    Case {
        child,
        referral: None,
        team,
        opened,
        closed: None,
        need,
        non_social_work_lead: None,
        waiting_since: opened,
        holder: None,
        secondary: None,
        stage,
        due,
        assessment: None,
        enquiry: None,
        conference: None,
        plan: None,
        placement: None,
        transfer: None,
        visit_due: due,
        urgent: false,
        pinned_until: None,
        ready: opened,
    }
}
