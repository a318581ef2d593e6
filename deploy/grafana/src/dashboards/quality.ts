import type { Page } from './common.js';

export const quality: Page = {
  uid: 'casewatch-quality',
  title: 'Quality',
  description: 'Did every feed land, and what in the data cannot be right.',
  folder: 'services',
  scope: 'authority',
  sections: (panels) => [
    {
      title: 'Deliveries',
      panels: [
        panels.stat('casewatch_feeds_overdue', { title: 'Overdue', judged: true, width: 6 }),
        panels.stat('casewatch_feed_rows_lost_ratio', { title: 'Most rows lost by a table', how: 'max', judged: true, width: 6 }),
        panels.stat('casewatch_feed_tables_supplied', { title: 'Tables supplied', unit: 'suffix: tables', width: 6 }),
        panels.stat('casewatch_feed_delivered_timestamp_seconds', { title: 'Oldest delivery', how: 'min', width: 6 }),
        panels.table('casewatch_feed_rows', { title: 'Rows of the last delivery', by: ['table'] }),
        panels.table('casewatch_feed_rows_change', { title: 'Change against the one before', by: ['table'] }),
        panels.trend('casewatch_feed_rows_lost_ratio', { title: 'Rows lost', how: 'max', by: ['table'], judged: true }),
        panels.table('casewatch_feed_tables_supplied', { title: 'Supplied', how: 'max', by: ['table'] }),
        panels.table('casewatch_feeds_overdue', { title: 'Overdue', by: ['table'] }),
        panels.table('casewatch_feed_delivered_timestamp_seconds', { title: 'Last delivered', how: 'min', by: ['table'] }),
      ],
    },
    {
      title: 'Rules of the data',
      panels: [
        panels.stat('casewatch_quality_faults', { title: 'Rows that break a rule', width: 6 }),
        panels.trend('casewatch_quality_faults', { title: 'By rule', by: ['rule'], width: 10 }),
        panels.table('casewatch_quality_faults', { title: 'Rows', by: ['rule'] }),
      ],
    },
  ],
};
