//! Who manages whom: line managers, and deputies as teams grow.

use crate::calendar::Day;
use crate::staff_plan::Planner;
use crate::workforce::Team;

impl Planner<'_> {
    /// Does somebody report to this worker, or is to?
    pub(crate) fn manages(&self, worker: usize) -> bool {
        let manages = |team: &Team| team.manager == Some(worker) || team.deputies.contains(&worker);
        self.plan.teams.iter().any(manages)
    }

    /// To whom somebody in a team reports: the one of its managers with the fewest reports whom the staff records know by
    /// then. A deputy reports to the team's manager, and that one to the managers of the team above.
    pub(crate) fn line_manager(&self, worker: usize, team: usize, known: Day) -> Option<usize> {
        let recorded = |manager: &usize| {
            let first = self.plan.workers[*manager].spells.first();
            let by = known.max(self.profile.first_day.plus(-1));
            *manager != worker && first.is_some_and(|spell| self.plan.spells[*spell].known <= by)
        };
        let at = &self.plan.teams[team];
        if at.deputies.contains(&worker) {
            return at.manager.filter(recorded);
        }
        let mut above = Some(team).filter(|_| at.manager != Some(worker)).or(at.parent);
        while let Some(team) = above {
            let at = &self.plan.teams[team];
            let managers = at.manager.iter().chain(&at.deputies).copied().filter(recorded);
            if let Some(manager) = managers.min_by_key(|manager| self.reports[*manager]) {
                return Some(manager);
            }
            above = at.parent;
        }
        None
    }

    /// Shares the reports out among the managers there are by now.
    pub(crate) fn share_reports(&mut self) {
        self.reports.fill(0);
        for index in 0..self.plan.spells.len() {
            let spell = &self.plan.spells[index];
            let manager = self.line_manager(spell.worker, spell.team, spell.known);
            self.plan.spells[index].line_manager = manager;
            if let Some(manager) = manager {
                self.reports[manager] += 1;
            }
        }
    }

    /// The team whose managers need another one most, if all of them have reports enough.
    pub(crate) fn team_to_be_managed(&self) -> Option<usize> {
        let fewest = |team: &usize| {
            let at = &self.plan.teams[*team];
            let managers = at.manager.iter().chain(&at.deputies);
            managers.map(|manager| self.reports[*manager]).min().unwrap_or(0)
        };
        let stretched = (0..self.plan.teams.len()).filter(|team| fewest(team) >= self.enough_reports);
        stretched.max_by_key(fewest)
    }
}
