import type { Page } from './common.js';

const NOW = { measured: '="now"' };
const BY_AUTHORITY = { how: 'max', by: ['authority'], where: NOW } as const;

export const workforce: Page = {
  uid: 'casewatch-workforce',
  title: 'Workforce',
  description: "DfE's measures for the year to today, beside England's; who came, who left, who manages whom.",
  folder: 'services',
  scope: 'authority',
  benchmarks: true,
  sections: (panels) => [
    {
      title: 'Rates',
      panels: [
        panels.trend('casewatch_turnover_ratio', { ...BY_AUTHORITY, by: ['authority'], title: 'Turnover', benchmark: 'turnover', width: 6 }),
        panels.trend('casewatch_vacancy_ratio', { ...BY_AUTHORITY, by: ['authority'], title: 'Vacancy', benchmark: 'vacancy', width: 6 }),
        panels.trend('casewatch_agency_ratio', { ...BY_AUTHORITY, by: ['authority'], title: 'Agency', benchmark: 'agency', width: 6 }),
        panels.trend('casewatch_absence_ratio', { ...BY_AUTHORITY, by: ['authority'], title: 'Absence', benchmark: 'absence', width: 6 }),
      ],
    },
    {
      title: 'In post',
      panels: [
        panels.trend('casewatch_social_workers_fte', { title: 'Social workers', by: ['employment'], where: NOW, stacked: true }),
        panels.trend('casewatch_posts_vacant_fte', { title: 'Vacant posts', where: NOW }),
        panels.trend('casewatch_posts_covered_fte', { title: 'Of them covered by agency', where: NOW }),
        panels.stat('casewatch_posts_vacant_covered_ratio', { title: 'Share covered', how: 'max', where: NOW }),
        panels.stat('casewatch_newly_qualified_ratio', { title: 'In their newly qualified year', how: 'max' }),
        panels.stat('casewatch_teams_without_manager', { title: 'Teams without a manager' }),
        panels.stat('casewatch_managers_over_span', { title: 'Managers of too many' }),
        panels.stat('casewatch_span_of_control_mean', { title: 'Mean span of control', how: 'max' }),
        panels.stat('casewatch_span_of_control_max', { title: 'Widest span of control', how: 'max' }),
      ],
    },
    {
      title: 'Who came and who left, in the year',
      panels: [
        panels.stat('casewatch_starters_fte', { title: 'Starters', where: NOW, width: 6 }),
        panels.stat('casewatch_leavers_fte', { title: 'Leavers', where: NOW, width: 6 }),
        panels.stat('casewatch_team_moves', { title: 'Moves between teams', where: NOW, width: 6 }),
        panels.stat('casewatch_leavers_service_median_calendardays', { title: 'Median service of leavers', how: 'max', where: NOW, width: 6 }),
        panels.trend('casewatch_starters', { title: 'Starters by origin', by: ['origin'], where: NOW, stacked: true, width: 12 }),
        panels.trend('casewatch_leavers_by_service', { title: 'Leavers by years served', by: ['band'], where: NOW, stacked: true, width: 12 }),
      ],
    },
  ],
};
