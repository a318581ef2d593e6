import type { Page } from './common.js';

const YEAR = { period: '="12_months"' };

export const frontDoor: Page = {
  uid: 'casewatch-front-door',
  title: 'Front door',
  description: 'Referrals, decisions, assessments and conferences, and how many come again.',
  folder: 'services',
  scope: 'authority',
  sections: (panels) => [
    {
      title: 'Today',
      panels: [
        panels.stat('casewatch_contacts_undecided', { title: 'Undecided' }),
        panels.stat('casewatch_contacts_undecided', { title: 'Of them overdue', where: { overdue: '="yes"' } }),
        panels.stat('casewatch_assessments_open', { title: 'Open assessments' }),
        panels.stat('casewatch_assessments_long_open', { title: 'Of them long open' }),
        panels.stat('casewatch_conferences_overdue', { title: 'Conferences overdue' }),
        panels.stat('casewatch_cases_no_holder', { title: 'At the front door without a holder', where: { service: '="front_door"' } }),
      ],
    },
    {
      title: 'Referrals',
      panels: [
        panels.trend('casewatch_referrals', { title: 'Referrals in 12 months, by decision', by: ['decision'], where: YEAR, stacked: true }),
        panels.trend('casewatch_referrals_no_further_action_ratio', { title: 'No further action', how: 'max', by: ['period'] }),
        panels.trend('casewatch_re_referrals_ratio', { title: 'Re-referred within 12 months', how: 'max', by: ['period'] }),
        panels.trend('casewatch_referrals_decided_in_time_ratio', { title: 'Decided within a working day', how: 'max', by: ['period'] }),
        panels.trend('casewatch_contacts_undecided', { title: 'Undecided', by: ['kind', 'overdue'] }),
        panels.table('casewatch_contacts_undecided', { title: 'Undecided', by: ['service', 'team'] }),
      ],
    },
    {
      title: 'Assessments and conferences',
      panels: [
        panels.trend('casewatch_assessments_open', { title: 'Open assessments by age in working days', by: ['age'], stacked: true }),
        panels.trend('casewatch_assessments_in_time_ratio', { title: 'Completed within 45 working days, by clock', how: 'max', by: ['clock'], where: YEAR }),
        panels.trend('casewatch_conferences_in_time_ratio', { title: 'Conference within 15 working days', how: 'max', by: ['period'] }),
      ],
    },
  ],
};
