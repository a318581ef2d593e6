//! Plans the staff day by day: who starts, leaves, moves and is away, and which posts are open.
//!
//! Sums are exact by construction: what starts and leaves in a year is cut into usual hours that add up to the published
//! figures; who holds cases is decided at each start and leaving by what is missing; posts are reviewed each quarter, and
//! to the tenth before each 30 September.

use chrono::Datelike;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::calendar::{Calendar, Day};
use crate::profile::{Profile, WorkforceYear};
use crate::workforce::{Employment, Service, Spell, Worker, Workforce, teams};

/// Reports of a manager from which on a team gets another one.
const REPORTS_A_MANAGER: usize = 8;
/// The same at first, while those of the agency are still to come.
const REPORTS_OF_THE_EMPLOYED: usize = 5;
/// Share of newly qualified among those who begin to hold cases here.
const NEWLY_QUALIFIED: f64 = 0.95;
/// Agency workers who take a contract of their own, in a year.
const CONVERSIONS_A_YEAR: f64 = 9.0;

pub(crate) struct Planner<'a> {
    pub(crate) profile: &'a Profile,
    pub(crate) calendar: &'a Calendar,
    pub(crate) rng: &'a mut ChaCha8Rng,
    pub(crate) plan: Workforce,
    pub(crate) direct: Vec<usize>,
    pub(crate) agency: Vec<usize>,
    /// By worker: last day of an absence that keeps them from leaving.
    pub(crate) away: Vec<Option<Day>>,
    /// By worker: last day of an absence in which they hold no cases.
    pub(crate) away_long: Vec<Option<Day>>,
    /// By worker: how many report to them.
    pub(crate) reports: Vec<usize>,
    /// With how many each a team gets another manager.
    pub(crate) enough_reports: usize,
    /// By post: the contract on it, and its open period.
    pub(crate) occupants: Vec<(Option<usize>, Option<usize>)>,
}

#[derive(Clone, Copy)]
enum Change {
    Start(Employment, u32),
    Leave(u32),
    AgencyEnd(u32),
    /// From the agency to a contract of one's own.
    Convert(u32),
}

impl<'a> Planner<'a> {
    pub(crate) fn new(profile: &'a Profile, calendar: &'a Calendar, rng: &'a mut ChaCha8Rng) -> Self {
        let plan = Workforce {
            teams: teams(profile.scale),
            workers: vec![],
            spells: vec![],
            absences: vec![],
            posts: vec![],
        };
        Self {
            profile,
            calendar,
            rng,
            plan,
            direct: vec![],
            agency: vec![],
            away: vec![],
            away_long: vec![],
            reports: vec![],
            enough_reports: REPORTS_OF_THE_EMPLOYED,
            occupants: vec![],
        }
    }

    pub(crate) fn run(mut self) -> Workforce {
        let years = self.profile.workforce_years.clone();
        let base = Day::of(years[0].year, 10, 1);
        self.first_staff(&years[0], base);
        for pair in years.windows(2) {
            if Day::of(pair[0].year, 10, 1) <= self.profile.last_day {
                self.year(&pair[0], &pair[1]);
            }
        }
        self.plan
    }

    fn first_staff(&mut self, year: &WorkforceYear, base: Day) {
        self.first_others(base);
        for part in full_time_parts(self.rng, year.in_post) {
            // Many came in the last year, most of them straight from university.
            let recent = self.rng.random_bool(0.14);
            let started = base.plus(-self.rng.random_range(if recent { 5..180 } else { 40..3000 }));
            self.start(Employment::Permanent, part, started, base, year.case_holders);
        }
        for part in full_time_parts(self.rng, year.agency) {
            let started = base.plus(-self.rng.random_range(5..420));
            self.start(Employment::Agency, part, started, base, year.case_holders);
        }
        self.share_reports();
        self.enough_reports = REPORTS_A_MANAGER;
        self.review_posts(base, year.vacancy, true);
    }

    /// Those who are no social workers: personal advisers, family support workers, and others.
    fn first_others(&mut self, base: Day) {
        let scale = self.profile.scale;
        for (service, role, count) in [
            (Service::LeavingCare, "personal_adviser", 27.0),
            (Service::Safeguarding, "family_support", 21.0),
            (Service::Other, "other", 8.0),
        ] {
            for n in 0..((count * scale) as usize).max(2) {
                let teams = self.teams_of(service);
                let team = teams[n % teams.len()];
                let started = base.plus(-self.rng.random_range(40..3000));
                let worker = self.worker(false, None);
                self.add(Spell {
                    worker,
                    employment: Employment::Permanent,
                    role,
                    social_work: false,
                    case_holding: role != "other",
                    fte: 10,
                    team,
                    started,
                    known: started,
                    ended: None,
                    end_known: started,
                    end_reason: None,
                    converts: false,
                    post: None,
                    line_manager: None,
                });
            }
        }
    }

    /// One year from 1 October: what starts and ends when, then day by day.
    fn year(&mut self, before: &WorkforceYear, after: &WorkforceYear) {
        let first = Day::of(before.year, 10, 1);
        let last = Day::of(after.year, 9, 30);
        let starters = (after.in_post + after.leavers).saturating_sub(before.in_post);
        let agency_ends = before.agency * 7 / 10 + before.agency.saturating_sub(after.agency) / 3;
        let agency_starts = (after.agency + agency_ends).saturating_sub(before.agency);
        let agency_ends = (before.agency + agency_starts).saturating_sub(after.agency);
        let mut changes: Vec<(Day, Change)> = vec![];
        for part in full_time_parts(self.rng, after.leavers) {
            changes.push((self.working_day(first, last.plus(-10)), Change::Leave(part)));
        }
        for part in full_time_parts(self.rng, starters) {
            // Newly qualified workers come in September.
            let from = if self.rng.random_bool(0.2) {
                last.plus(-29)
            } else {
                first
            };
            let employment = if self.rng.random_bool(0.07) {
                Employment::FixedTerm
            } else {
                Employment::Permanent
            };
            changes.push((self.working_day(from, last.plus(-8)), Change::Start(employment, part)));
        }
        for part in full_time_parts(self.rng, agency_ends) {
            changes.push((self.working_day(first, last.plus(-12)), Change::AgencyEnd(part)));
        }
        for part in full_time_parts(self.rng, agency_starts) {
            changes.push((
                self.working_day(first, last.plus(-8)),
                Change::Start(Employment::Agency, part),
            ));
        }
        changes.sort_by_key(|(day, _)| *day);
        self.pair_conversions(&mut changes);
        let mut next = 0;
        let mut sick_tenths = self.sickness_brought_over(first);
        for number in first.0..=last.0 {
            let day = Day(number);
            let gone = f64::from(number - first.0) / f64::from(last.0 - first.0);
            // The year's last days may be no working days.
            let sick_gone = f64::from(number + 4 - first.0) / f64::from(last.0 - first.0);
            let level = |a: u32, b: u32| (f64::from(a) + (f64::from(b) - f64::from(a)) * gone).round() as u32;
            let holders = if number > last.0 - 75 {
                after.case_holders
            } else {
                level(before.case_holders, after.case_holders)
            };
            while next < changes.len() && changes[next].0 <= day {
                match changes[next].1 {
                    Change::Start(employment, part) => self.start(employment, part, day, day, holders),
                    Change::Leave(part) => self.leave(part, day, true, holders),
                    Change::AgencyEnd(part) => self.leave(part, day, false, holders),
                    Change::Convert(part) => self.convert(part, day, holders),
                }
                next += 1;
            }
            if self.calendar.is_working(day) {
                self.absences(day, last, after.sick_days, sick_gone.min(1.0), &mut sick_tenths);
                if self.rng.random_bool(0.05) && day.plus(20) < last {
                    self.move_team(day);
                }
            }
            if day == last.plus(-3) {
                self.review_posts(day, after.vacancy, true);
            } else if day.date().day() == 1 && day.date().month() % 3 == 1 {
                self.review_posts(day, level(before.vacancy, after.vacancy), false);
            }
        }
    }

    /// Some of those who start are from the agency: a start and an agency's end of the same hours become one change.
    fn pair_conversions(&self, changes: &mut Vec<(Day, Change)>) {
        let wanted = (CONVERSIONS_A_YEAR * self.profile.scale).round() as usize;
        let is_start = |change: &(Day, Change)| matches!(change.1, Change::Start(Employment::Permanent, 10));
        let starts = changes.iter().filter(|change| is_start(change)).count();
        let every = (starts / wanted.max(1)).max(1);
        let mut seen = 0;
        let mut ended = vec![];
        for position in 0..changes.len() {
            // Those of other hours are too few to be chosen from.
            let Change::Start(Employment::Permanent, part @ 10) = changes[position].1 else {
                continue;
            };
            seen += 1;
            if seen % every != 0 || ended.len() == wanted {
                continue;
            }
            let same = |p: &usize| matches!(changes[*p].1, Change::AgencyEnd(other) if other == part);
            if let Some(end) = (0..changes.len()).find(|p| same(p) && !ended.contains(p)) {
                ended.push(end);
                changes[position].1 = Change::Convert(part);
            }
        }
        let mut position = 0;
        changes.retain(|_| {
            position += 1;
            !ended.contains(&(position - 1))
        });
    }

    fn working_day(&mut self, from: Day, to: Day) -> Day {
        self.calendar
            .working_day_at_or_before(Day(self.rng.random_range(from.0 + 3..=to.0)))
    }

    fn teams_of(&self, service: Service) -> Vec<usize> {
        (0..self.plan.teams.len())
            .filter(|t| self.plan.teams[*t].service == service && self.plan.teams[*t].parent.is_some())
            .collect()
    }

    fn worker(&mut self, registered: bool, newly_qualified_from: Option<Day>) -> usize {
        let pace = self.rng.random_range(0.72..1.34);
        self.plan.workers.push(Worker {
            spells: vec![],
            registered,
            newly_qualified_from,
            pace,
        });
        self.away.push(None);
        self.away_long.push(None);
        self.reports.push(0);
        self.plan.workers.len() - 1
    }

    pub(crate) fn add(&mut self, spell: Spell) -> usize {
        let index = self.plan.spells.len();
        let line_manager = self.line_manager(spell.worker, spell.team, spell.known);
        if let Some(manager) = line_manager {
            self.reports[manager] += 1;
        }
        let spell = Spell { line_manager, ..spell };
        self.plan.workers[spell.worker].spells.push(index);
        self.plan.spells.push(spell);
        index
    }

    /// Shortly before a census whoever comes or goes is chosen for the sums to come out.
    pub(crate) fn near_census(day: Day) -> bool {
        (7..=9).contains(&day.date().month())
    }

    /// A social worker starts on `started`; decisions are those of `day`.
    pub(crate) fn start(&mut self, employment: Employment, fte: u32, started: Day, day: Day, holders: u32) {
        let managed = (0..self.plan.teams.len()).find(|t| self.plan.teams[*t].manager.is_none());
        let direct = employment != Employment::Agency;
        let could_manage = direct && fte == 10;
        let manages = managed.filter(|_| could_manage);
        let assists = if manages.is_none() && could_manage {
            self.team_to_be_managed()
        } else {
            None
        };
        // Cases go to one's own staff first; an agency worker takes them where several are missing.
        let missing = if direct || started != day || Self::near_census(day) {
            fte / 2
        } else {
            60
        };
        let leads = manages.or(assists);
        let case_holding = leads.is_none() && self.holder_tenths(day) + missing < holders;
        let team = match leads {
            Some(team) => team,
            None if case_holding => self.neediest_team(day, holders),
            None => self.any_team(),
        };
        let newly_qualified =
            direct && case_holding && started.plus(180) > day && self.rng.random_bool(NEWLY_QUALIFIED);
        let worker = self.worker(true, newly_qualified.then_some(started));
        if let Some(team) = manages {
            self.plan.teams[team].manager = Some(worker);
            self.share_reports();
        }
        if let Some(team) = assists {
            self.plan.teams[team].deputies.push(worker);
        }
        let role = match (leads.is_some(), case_holding) {
            (true, _) if team == 0 => "senior_manager",
            (true, _) if self.plan.teams[team].parent == Some(0) && team < 6 => "middle_manager",
            (true, _) => "first_line_manager",
            (false, true) if self.rng.random_bool(0.12) => "senior_practitioner",
            (false, true) => "case_holder",
            (false, false) if self.rng.random_bool(0.3) => "senior_practitioner",
            (false, false) => "qualified_no_cases",
        };
        let known = if started == day {
            day.plus(-self.rng.random_range(3..24))
        } else {
            started
        };
        let post = if direct {
            Some(self.fill_post(known, started, team))
        } else {
            self.cover_post(known)
        };
        let index = self.add(Spell {
            worker,
            employment,
            role,
            social_work: true,
            case_holding,
            fte,
            team,
            started,
            known,
            ended: None,
            end_known: started,
            end_reason: None,
            converts: false,
            post,
            line_manager: None,
        });
        if let Some(post) = post.filter(|_| direct) {
            self.occupants[post].0 = Some(index);
        }
        if direct {
            self.direct.push(index)
        } else {
            self.agency.push(index)
        }
    }

    /// Tenths of those who hold cases and are not away for long.
    pub(crate) fn holder_tenths(&self, day: Day) -> u32 {
        let away = |s: &&usize| self.away_long[self.plan.spells[**s].worker].is_some_and(|until| until >= day);
        self.direct
            .iter()
            .chain(&self.agency)
            .filter(|s| self.plan.spells[**s].case_holding && !away(s))
            .map(|s| self.plan.spells[*s].fte)
            .sum()
    }

    fn team_tenths(&self, team: usize) -> u32 {
        let here = |s: &&usize| self.plan.spells[**s].case_holding && self.plan.spells[**s].team == team;
        self.direct
            .iter()
            .chain(&self.agency)
            .filter(here)
            .map(|s| self.plan.spells[*s].fte)
            .sum()
    }

    fn neediest_team(&self, day: Day, holders: u32) -> usize {
        let front_door = self.profile.front_door_fte.on(day);
        let rest = (f64::from(holders) - front_door).max(1.0);
        let wanted = [
            (Service::FrontDoor, front_door),
            (Service::Safeguarding, rest * 0.54),
            (Service::LookedAfter, rest * 0.34),
            (Service::Disability, rest * 0.12),
        ];
        let share = |service, want: f64| {
            let tenths: u32 = self.holding_teams(service).iter().map(|t| self.team_tenths(*t)).sum();
            f64::from(tenths) / want.max(1.0)
        };
        let (service, _) = wanted
            .into_iter()
            .min_by(|a, b| share(a.0, a.1).total_cmp(&share(b.0, b.1)))
            .expect("four services");
        let teams = self.holding_teams(service);
        *teams
            .iter()
            .min_by_key(|t| self.team_tenths(**t))
            .expect("every such service has a team")
    }

    pub(crate) fn holding_teams(&self, service: Service) -> Vec<usize> {
        (0..self.plan.teams.len())
            .filter(|t| self.plan.teams[*t].service == service && self.plan.teams[*t].case_holding)
            .collect()
    }

    pub(crate) fn any_team(&mut self) -> usize {
        self.rng.random_range(1..self.plan.teams.len())
    }
}

/// Contracts of usual hours that add up to exactly `total` tenths.
fn full_time_parts(rng: &mut ChaCha8Rng, total: u32) -> Vec<u32> {
    let mut parts = vec![];
    let mut left = total;
    while left > 40 {
        let part = match rng.random_range(0..100) {
            0..74 => 10,
            74..86 => 8,
            86..95 => 6,
            _ => 5,
        };
        parts.push(part);
        left -= part;
    }
    parts.extend(exact_parts(left).unwrap_or_else(|| vec![left]));
    parts.retain(|part| *part > 0);
    parts
}

fn exact_parts(left: u32) -> Option<Vec<u32>> {
    if left == 0 {
        return Some(vec![]);
    }
    [10, 8, 6, 5].into_iter().filter(|part| *part <= left).find_map(|part| {
        let mut rest = exact_parts(left - part)?;
        rest.push(part);
        Some(rest)
    })
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::workforce::PostPeriod;

    fn plan() -> Workforce {
        Workforce::plan(
            &Profile::northamptonshire(),
            &Calendar::new(),
            &mut ChaCha8Rng::seed_from_u64(1),
        )
    }

    #[test]
    fn each_30_september_has_the_published_workforce() {
        let plan = plan();
        for year in &Profile::northamptonshire().workforce_years[1..] {
            let census = Day::of(year.year, 9, 30);
            let active = |s: &&Spell| s.social_work && s.active(census);
            let sum = |direct: bool| -> u32 {
                plan.spells
                    .iter()
                    .filter(active)
                    .filter(|s| s.direct() == direct)
                    .map(|s| s.fte)
                    .sum()
            };
            assert_eq!(sum(true), year.in_post, "in post {}", year.year);
            assert_eq!(sum(false), year.agency, "agency {}", year.year);
            let window = Day::of(year.year - 1, 10, 1)..=census;
            let left = |s: &&Spell| {
                s.social_work
                    && s.direct()
                    && s.ended.is_some_and(|e| window.contains(&e))
                    && s.end_reason != Some("changed_terms")
            };
            let leavers: u32 = plan.spells.iter().filter(left).map(|s| s.fte).sum();
            assert_eq!(leavers, year.leavers, "leavers {}", year.year);
            let open = |p: &&PostPeriod| p.from <= census && p.to.is_none_or(|to| to >= census);
            let vacancy: u32 = plan
                .posts
                .iter()
                .filter(open)
                .map(|p| {
                    let on = |s: &&Spell| active(s) && s.direct() && s.post == Some(p.post);
                    p.fte.saturating_sub(plan.spells.iter().filter(on).map(|s| s.fte).sum())
                })
                .sum();
            assert_eq!(vacancy, year.vacancy, "vacancy {}", year.year);
        }
    }

    #[test]
    fn parts_of_full_time_add_up() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for total in [425, 512, 619, 444, 1647, 2376] {
            assert_eq!(full_time_parts(&mut rng, total).iter().sum::<u32>(), total);
        }
    }
}
