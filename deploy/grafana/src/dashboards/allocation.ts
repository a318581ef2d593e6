import type { Page } from './common.js';

export const allocation: Page = {
  uid: 'casewatch-allocation',
  title: 'Allocation',
  description: 'Who has nobody: both headlines, the six states, waits, and what came and went.',
  folder: 'services',
  scope: 'authority',
  sections: (panels) => [
    {
      title: 'Both headlines',
      panels: [
        panels.stat('casewatch_cases_no_holder', { title: 'No holder', judged: true }),
        panels.stat('casewatch_cases_unallocated', { title: 'Of them past the grace period' }),
        panels.stat('casewatch_cases_in_transition', { title: 'Of them within it' }),
        panels.stat('casewatch_cases_no_effective_worker', { title: 'No effective worker' }),
        panels.stat('casewatch_no_holder_flow_workdays', { title: 'In days of flow', how: 'max' }),
        panels.stat('casewatch_cases_holder_unverified', { title: 'Holder cannot be checked' }),
        panels.trend('casewatch_cases_no_holder', { title: 'No holder, by status', by: ['status'], stacked: true, judged: true, width: 12 }),
        panels.trend('casewatch_cases_open', { title: 'Open cases by state', by: ['state'], stacked: true, width: 12 }),
        panels.trend('casewatch_cases_no_holder', { title: 'No holder, by service', by: ['service'], stacked: true }),
        panels.trend('casewatch_cases_open_by_status', { title: 'Open cases by status', by: ['status'], stacked: true }),
        panels.table('casewatch_cases_no_holder', { title: 'No holder', by: ['service', 'team'] }),
      ],
    },
    {
      title: 'What came and went',
      panels: [
        panels.stat('casewatch_cases_no_holder_net_flow', { title: 'Net flow' }),
        panels.stat('casewatch_cases_newly_no_effective_worker', { title: 'Newly without an effective worker' }),
        panels.stat('casewatch_cases_no_holder_rise', { title: 'Rise in 5 working days', judged: true }),
        panels.stat('casewatch_cases_no_holder_rebound', { title: 'Above the recent low', judged: true }),
        panels.stat('casewatch_cases_no_holder_low', { title: 'Low of 20 working days' }),
        panels.stat('casewatch_cases_no_holder_week_ago', { title: 'Five working days ago' }),
        panels.trend('casewatch_cases_no_holder_changed', { title: 'Came and went, since the last working day', by: ['change'] }),
        panels.trend('casewatch_cases_opened_per_workday', { title: 'Opened a working day' }),
        panels.trend('casewatch_cases_closed_per_workday', { title: 'Closed a working day' }),
      ],
    },
    {
      title: 'Waits',
      panels: [
        panels.stat('casewatch_no_holder_wait_oldest_calendardays', { title: 'Oldest', how: 'max', judged: true }),
        panels.stat('casewatch_no_holder_wait_oldest_workdays', { title: 'Oldest, working days', how: 'max' }),
        panels.stat('casewatch_no_holder_wait_mean_calendardays', { title: 'Mean', how: 'max' }),
        panels.stat('casewatch_no_holder_wait_mean_workdays', { title: 'Mean, working days', how: 'max' }),
        panels.stat('casewatch_time_to_allocation_median_workdays', { title: 'Median time to allocation', how: 'max', where: { period: '="12_months"' } }),
        panels.stat('casewatch_time_to_allocation_median_reached', { title: 'Median reached', how: 'min', where: { period: '="12_months"' } }),
        panels.trend('casewatch_no_holder_wait_oldest_calendardays', { title: 'Oldest wait', how: 'max', by: ['service'], judged: true }),
        panels.trend('casewatch_no_holder_wait_percentile_calendardays', { title: 'Median and ninetieth percentile', how: 'max', by: ['percentile'] }),
        panels.trend('casewatch_no_holder_wait_percentile_workdays', { title: 'The same in working days', how: 'max', by: ['percentile'] }),
      ],
    },
    {
      title: 'A name, but nobody who works on it',
      panels: [
        panels.stat('casewatch_cases_open', { title: 'Nominally held', where: { state: '="nominal"' }, judged: 'nominal' }),
        panels.stat('casewatch_cases_overdue_for_worker', { title: 'Protection or looked after, too long', where: { rule: '="protected"' }, judged: 'protected' }),
        panels.stat('casewatch_cases_overdue_for_worker', { title: 'Leaver-held, too long', where: { rule: '="leaver_held"' }, judged: 'leaver_held' }),
        panels.stat('casewatch_cases_holder_leaving', { title: 'Holder leaves within 20 working days' }),
        panels.stat('casewatch_cases_closed_never_effective', { title: 'Closed without ever a worker, 28 days', where: { period: '="28_days"' } }),
        panels.stat('casewatch_cases_closed_today', { title: 'Closed today', judged: true }),
        panels.trend('casewatch_cases_nominally_held', { title: 'Nominally held', by: ['holder_kind'], stacked: true }),
        panels.trend('casewatch_cases_overdue_for_worker', { title: 'Overdue for a worker', by: ['rule'] }),
        panels.table('casewatch_cases_holder_leaving', { title: 'Holder leaves', by: ['service', 'team'] }),
      ],
    },
  ],
};
