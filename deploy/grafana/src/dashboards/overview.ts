import type { Page } from './common.js';

export const overview: Page = {
  uid: 'casewatch-overview',
  title: 'Overview',
  description: 'Is it safe today, is it getting better, and how do we compare.',
  folder: 'services',
  scope: 'authority',
  benchmarks: true,
  sections: (panels) => [
    {
      title: 'Safety today',
      panels: [
        panels.stat('casewatch_cases_no_holder', { title: 'No holder', judged: true }),
        panels.stat('casewatch_cases_no_effective_worker', { title: 'No effective worker' }),
        panels.stat('casewatch_cases_no_effective_worker', {
          title: 'Of them protection or looked after',
          where: { status: '=~"child_protection|looked_after"' },
          judged: true,
        }),
        panels.stat('casewatch_no_holder_wait_oldest_calendardays', { title: 'Oldest wait', how: 'max', judged: true }),
        panels.stat('casewatch_cases_no_holder_net_flow', { title: 'Net flow since the last working day' }),
        panels.stat('casewatch_cases_holder_leaving', { title: "Next month's leavers' cases" }),
        panels.stat('casewatch_workers_over_caseload_threshold', {
          title: 'Workers over threshold',
          where: { threshold: '="watch"' },
        }),
        panels.stat('casewatch_visits_late', { title: 'Late visits' }),
        panels.stat('casewatch_assessments_long_open', { title: 'Long-open assessments' }),
        panels.stat('casewatch_supervisions_late', { title: 'Late supervisions' }),
        panels.stat('casewatch_teams_without_manager', { title: 'Teams without a manager' }),
        panels.stat('casewatch_cases_open', { title: 'Open cases' }),
      ],
    },
    {
      title: 'Is it getting better',
      panels: [
        panels.trend('casewatch_cases_no_holder', { title: 'Cases without a holder', judged: true }),
        panels.trend('casewatch_cases_open', { title: 'Open cases by allocation state', by: ['state'], stacked: true }),
        panels.trend('casewatch_workers_in_caseload_band', { title: 'Workers by caseload', by: ['band'], stacked: true }),
      ],
    },
    {
      title: 'How we compare',
      panels: [
        panels.trend('casewatch_dfe_caseload_cases_per_fte', { title: 'Average caseload, as DfE has it', how: 'max', by: ['authority'], benchmark: 'caseload' }),
        ...(['turnover', 'vacancy', 'agency', 'absence'] as const).map((measure) =>
          panels.trend(`casewatch_${measure}_ratio`, {
            title: `${measure[0]!.toUpperCase()}${measure.slice(1)}`,
            how: 'max',
            by: ['authority'],
            where: { measured: '="now"' },
            benchmark: measure,
          }),
        ),
      ],
    },
  ],
};
