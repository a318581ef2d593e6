import type { Page } from './common.js';

export const pipeline: Page = {
  uid: 'casewatch-pipeline',
  title: 'Pipeline',
  description: 'For whoever runs casewatch: Kafka to the lake, to the live tables, to the numbers.',
  folder: 'pipeline',
  scope: 'none',
  sections: (panels) => [
    {
      title: 'Reading Kafka',
      panels: [
        panels.trend('casewatch_consumer_lag', { title: 'Lag', by: ['role'], unit: 'suffix: messages' }),
        panels.rate('casewatch_rows_total', { title: 'Rows', by: ['role'] }),
        panels.rate('casewatch_read_bytes_total', { title: 'Bytes read', by: ['role'] }),
        panels.rate('casewatch_dead_letters_total', {
          title: 'Dead letters',
          by: ['table', 'reason'],
          where: { role: '="ingest"' },
          sinceFirst: true,
        }),
        panels.trend('casewatch_topic_halted', {
          title: 'Halted partitions',
          how: 'max',
          by: ['topic', 'partition', 'reason'],
          unit: 'bool_yes_no',
          sinceFirst: true,
        }),
        panels.rate('casewatch_retries_total', { title: 'Waits for something that is away', by: ['what'], sinceFirst: true }),
        panels.trend('casewatch_source_heard_timestamp_seconds', {
          title: 'Since a source was heard of',
          expression: 'time() - max by (source) (casewatch_source_heard_timestamp_seconds)',
          unit: 's',
          legend: '{{source}}',
        }),
        panels.rate('casewatch_tombstones_total', { title: 'Tombstones', by: ['role'] }),
      ],
    },
    {
      title: 'The lake',
      panels: [
        panels.trend('casewatch_lake_committed_timestamp_seconds', {
          title: 'Since the last commit',
          expression: 'time() - max by (table) (casewatch_lake_committed_timestamp_seconds)',
          unit: 's',
          legend: '{{table}}',
        }),
        panels.quantiles('casewatch_flush_seconds', { title: 'Time to write and commit' }),
        panels.rate('casewatch_flushes_total', { title: 'Flushes', by: ['cause'] }),
        panels.rate('casewatch_commits_total', { title: 'Commits', by: ['table'] }),
        panels.rate('casewatch_files_total', { title: 'Files', by: ['table'] }),
        panels.rate('casewatch_lake_bytes_total', { title: 'Bytes committed', by: ['table'] }),
        panels.rate('casewatch_discarded_rows_total', { title: 'Rows discarded to another owner', by: ['table'] }),
        panels.trend('casewatch_lake_disk_free_bytes', { title: "Room on the lake's disk", how: 'min' }),
        panels.stat('casewatch_lake_disk_bytes', { title: 'The whole disk', how: 'min' }),
        panels.rate('casewatch_maintenance_total', { title: 'Maintenance', by: ['kind'] }),
      ],
    },
    {
      title: 'Live tables',
      panels: [
        panels.trend('casewatch_live_rows', { title: 'Rows', by: ['table'], stacked: true }),
        panels.trend('casewatch_live_bytes', { title: 'Memory of the live tables', how: 'max' }),
        panels.trend('casewatch_live_waiting_rows', { title: 'Rows that wait for the cut', how: 'max' }),
        panels.rate('casewatch_live_changes_total', { title: 'Changes', by: ['kind'] }),
        panels.trend('casewatch_cut_timestamp_seconds', {
          title: 'The cut behind the moment that the numbers describe',
          expression: 'max(casewatch_as_of_timestamp_seconds) - max(casewatch_cut_timestamp_seconds)',
          unit: 's',
        }),
      ],
    },
    {
      title: 'Numbers',
      panels: [
        panels.quantiles('casewatch_freshness_seconds', { title: 'From a change to its number' }),
        panels.trend('casewatch_query_state', { title: 'Queries by state', by: ['state'] }),
        panels.trend('casewatch_query_seconds', {
          title: 'The slowest queries',
          expression: 'topk(10, sum by (query) (rate(casewatch_query_seconds_sum[$__rate_interval])) / sum by (query) (rate(casewatch_query_seconds_count[$__rate_interval])))',
          legend: '{{query}}',
        }),
        panels.trend('casewatch_query_series', { title: 'Series', how: 'sum' }),
        panels.trend('casewatch_query_last_success_timestamp_seconds', {
          title: 'Since the longest-standing success of a query',
          expression: 'time() - min(max by (query) (casewatch_query_last_success_timestamp_seconds))',
          unit: 's',
        }),
        panels.table('casewatch_query_degraded', {
          title: 'Tables that count as empty',
          by: ['table'],
          sinceFirst: true,
          unit: 'suffix: queries',
        }),
        panels.table('casewatch_query_source', { title: 'Numbers that depend on a source', by: ['source'], unit: 'suffix: queries' }),
        panels.table('casewatch_parameter', { title: 'Parameters', how: 'max', by: ['name'], unit: 'none' }),
        panels.stat('casewatch_catalogue_reload_refused', { title: 'Queries on disk refused', how: 'max', width: 8 }),
        panels.table('casewatch_catalogue_info', { title: 'Readers of each catalogue', by: ['hash'], expression: 'count by (hash) (casewatch_catalogue_info)', unit: 'suffix: readers' }),
      ],
    },
    {
      title: 'The process',
      panels: [
        panels.table('casewatch_build_info', { title: 'Instances of each version', by: ['version'], expression: 'count by (version) (casewatch_build_info)', unit: 'suffix: instances', width: 6 }),
        panels.rate('process_cpu_seconds_total', { title: 'CPU', width: 6 }),
        panels.trend('process_resident_memory_bytes', { title: 'Memory', how: 'max', width: 6 }),
        panels.trend('process_open_fds', { title: 'Open files', how: 'max', unit: 'suffix: files', width: 6 }),
      ],
    },
  ],
};
