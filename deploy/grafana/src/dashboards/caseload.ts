import type { Page } from './common.js';

export const caseload: Page = {
  uid: 'casewatch-caseload',
  title: 'Caseload',
  description: 'A mean alone hides the failure: distribution, maxima by team, and who stays over, together.',
  folder: 'services',
  scope: 'authority',
  benchmarks: true,
  sections: (panels) => [
    {
      title: 'Distribution',
      panels: [
        panels.trend('casewatch_workers_in_caseload_band', { title: 'Workers by cases per FTE', by: ['band'], stacked: true, width: 12 }),
        panels.trend('casewatch_workers_in_dfe_caseload_band', { title: "The same in DfE's bands", by: ['band'], stacked: true, width: 12 }),
        panels.trend('casewatch_caseload_percentile_cases_per_fte', { title: 'Median and ninetieth percentile', how: 'max', by: ['percentile'] }),
        panels.trend('casewatch_caseload_percentile_cases', { title: 'Cases, whatever the hours', how: 'max', by: ['percentile'] }),
        panels.trend('casewatch_caseload_mean_cases_per_fte', { title: 'Mean', how: 'max', by: ['authority'] }),
        panels.trend('casewatch_caseload_mean_cases', { title: 'Mean, whatever the hours', how: 'max', by: ['authority'] }),
        panels.trend('casewatch_caseload_mean_weighted_ratio', { title: 'Mean of the weighted caseload', how: 'max', by: ['authority'] }),
        panels.trend('casewatch_dfe_caseload_cases_per_fte', { title: 'As DfE has it', how: 'max', by: ['authority'], benchmark: 'caseload' }),
      ],
    },
    {
      title: 'Over threshold',
      panels: [
        panels.stat('casewatch_workers_over_caseload_threshold', { title: 'Watched', where: { threshold: '="watch"' } }),
        panels.stat('casewatch_workers_over_caseload_threshold', { title: 'High', where: { threshold: '="high"' } }),
        panels.stat('casewatch_workers_over_caseload_threshold', { title: 'Extreme', where: { threshold: '="extreme"' } }),
        panels.stat('casewatch_workers_staying_over_caseload_threshold', { title: 'High for 5 working days', where: { threshold: '="high"', workdays: '="5"' }, judged: 'page' }),
        panels.stat('casewatch_newly_qualified_over_norm', { title: 'Newly qualified over their norm' }),
        panels.stat('casewatch_workers_staying_over_caseload_threshold', { title: 'Of them for 10 working days', where: { threshold: '="newly_qualified"', workdays: '="10"' }, judged: 'newly_qualified' }),
        panels.trend('casewatch_workers_over_caseload_threshold', { title: 'Workers over each threshold', by: ['threshold'] }),
        panels.trend('casewatch_workers_staying_over_caseload_threshold', { title: 'High for so many working days', by: ['workdays'], where: { threshold: '="high"' } }),
        panels.table('casewatch_workers_over_caseload_threshold', { title: 'Watched', by: ['service', 'team'], where: { threshold: '="watch"' } }),
      ],
    },
    {
      title: 'The most that anyone holds',
      panels: [
        panels.table('casewatch_caseload_max_cases_per_fte', { title: 'Most cases per FTE', how: 'max', by: ['service', 'team'] }),
        panels.table('casewatch_caseload_max_cases', { title: 'Most cases', how: 'max', by: ['service', 'team'] }),
        panels.table('casewatch_caseload_max_weighted_ratio', { title: 'Highest weighted caseload', how: 'max', by: ['service', 'team'] }),
      ],
    },
    {
      title: 'What the average leaves out',
      panels: [
        panels.trend('casewatch_dfe_caseload_excluded_workers', { title: 'Workers left out', by: ['reason'] }),
        panels.stat('casewatch_children_with_open_case', { title: 'Children' }),
        panels.stat('casewatch_families_with_open_case', { title: 'Families', how: 'max' }),
        panels.stat('casewatch_secondary_allocations', { title: 'Secondary allocations' }),
      ],
    },
  ],
};
