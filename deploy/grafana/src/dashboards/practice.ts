import type { Page } from './common.js';

export const practice: Page = {
  uid: 'casewatch-practice',
  title: 'Practice',
  description: 'Visits, supervision, plans, and what came back.',
  folder: 'services',
  scope: 'authority',
  sections: (panels) => [
    {
      title: 'Visits',
      panels: [
        panels.stat('casewatch_visits_owed', { title: 'Owed', width: 6 }),
        panels.stat('casewatch_visits_late', { title: 'Late', width: 6 }),
        panels.stat('casewatch_visits_falling_due', { title: 'Fall due in 5 working days', width: 6 }),
        panels.stat('casewatch_visits_late_oldest_workdays', { title: 'Latest by', how: 'max', width: 6 }),
        panels.trend('casewatch_visits_late', { title: 'Late, by kind', by: ['kind'], stacked: true }),
        panels.trend('casewatch_visits_done', { title: 'Done in 28 days, in time or not', by: ['in_time'], stacked: true }),
        panels.trend('casewatch_visits_seen_alone_ratio', { title: 'Seen alone', how: 'max', by: ['kind'] }),
        panels.table('casewatch_visits_late', { title: 'Late visits', by: ['service', 'team'], width: 12 }),
        panels.trend('casewatch_visits_late_oldest_workdays', { title: 'Latest by, by kind', how: 'max', by: ['kind'], width: 12 }),
      ],
    },
    {
      title: 'Supervision',
      panels: [
        panels.trend('casewatch_supervisions_owed', { title: 'Owed', by: ['kind'] }),
        panels.trend('casewatch_supervisions_late', { title: 'Late', by: ['kind'] }),
        panels.trend('casewatch_supervisions_falling_due', { title: 'Fall due in 5 working days', by: ['kind'] }),
      ],
    },
    {
      title: 'Plans and steps',
      panels: [
        panels.trend('casewatch_plans_in_force', { title: 'Plans in force', by: ['kind'], stacked: true }),
        panels.trend('casewatch_step_changes', { title: 'Steps up and down in 28 days', by: ['direction'] }),
        panels.trend('casewatch_repeat_plans_ratio', { title: 'Repeat protection plans', how: 'max', by: ['period'] }),
        panels.trend('casewatch_cases_closed_too_soon_ratio', { title: 'Closed and referred again within 90 days', how: 'max', by: ['authority'] }),
        panels.trend('casewatch_cases_closed_too_soon', { title: 'Cases that came back', by: ['period'] }),
        panels.trend('casewatch_placements_unsuitable', { title: 'Unsuitable accommodation', by: ['kind'], stacked: true }),
        panels.table('casewatch_assessments_long_open', { title: 'Long-open assessments', by: ['service', 'team'] }),
      ],
    },
  ],
};
