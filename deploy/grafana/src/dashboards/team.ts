import type { Page } from './common.js';

export const team: Page = {
  uid: 'casewatch-team',
  title: 'Team',
  description: 'One team, or a few: who is over, what is waiting, what is late. Who it is about is in the board, under a role.',
  folder: 'services',
  scope: 'team',
  sections: (panels) => [
    {
      title: 'What is waiting',
      panels: [
        panels.stat('casewatch_cases_open', { title: 'Open cases' }),
        panels.stat('casewatch_cases_no_holder', { title: 'No holder' }),
        panels.stat('casewatch_cases_no_effective_worker', { title: 'No effective worker' }),
        panels.stat('casewatch_cases_no_effective_worker', {
          title: 'Of them protection or looked after',
          where: { status: '=~"child_protection|looked_after"' },
          judged: true,
        }),
        panels.stat('casewatch_no_holder_wait_oldest_calendardays', { title: 'Oldest wait', how: 'max', judged: true }),
        panels.stat('casewatch_cases_holder_leaving', { title: 'Holder leaves soon' }),
        panels.trend('casewatch_cases_open', { title: 'Open cases by state', by: ['state'], stacked: true, width: 12 }),
        panels.trend('casewatch_no_holder_wait_oldest_calendardays', { title: 'Oldest wait', how: 'max', by: ['team'], judged: true, width: 12 }),
      ],
    },
    {
      title: 'Who is over',
      panels: [
        panels.stat('casewatch_workers_over_caseload_threshold', { title: 'Workers watched', where: { threshold: '="watch"' }, judged: 'warn' }),
        panels.stat('casewatch_workers_over_caseload_threshold', { title: 'Extreme', where: { threshold: '="extreme"' }, judged: 'page' }),
        panels.stat('casewatch_caseload_max_cases_per_fte', { title: 'Most cases per FTE', how: 'max' }),
        panels.stat('casewatch_caseload_max_cases', { title: 'Most cases', how: 'max' }),
        panels.stat('casewatch_newly_qualified_over_norm', { title: 'Newly qualified over their norm' }),
        panels.stat('casewatch_secondary_allocations', { title: 'Secondary allocations' }),
        panels.trend('casewatch_workers_in_caseload_band', { title: 'Workers by cases per FTE', by: ['band'], stacked: true, width: 12 }),
        panels.trend('casewatch_caseload_mean_cases_per_fte', { title: 'Mean', how: 'max', by: ['team'], width: 12 }),
      ],
    },
    {
      title: 'What is late',
      panels: [
        panels.stat('casewatch_visits_late', { title: 'Late visits' }),
        panels.stat('casewatch_visits_falling_due', { title: 'Visits due in 5 working days' }),
        panels.stat('casewatch_supervisions_late', { title: 'Late supervisions' }),
        panels.stat('casewatch_assessments_long_open', { title: 'Long-open assessments' }),
        panels.stat('casewatch_conferences_overdue', { title: 'Conferences overdue' }),
        panels.stat('casewatch_contacts_undecided', { title: 'Undecided' }),
        panels.trend('casewatch_visits_late', { title: 'Late visits', by: ['kind'], stacked: true, width: 12 }),
        panels.trend('casewatch_cases_overdue_for_worker', { title: 'Overdue for a worker', by: ['rule'], width: 12 }),
      ],
    },
  ],
};
