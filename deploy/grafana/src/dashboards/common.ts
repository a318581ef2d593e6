// What every dashboard has: variables, links, and how fresh its numbers are.

import * as dashboard from '@grafana/grafana-foundation-sdk/dashboard';

import type { Catalogue } from '../catalogue.js';
import type { Scope } from '../expression.js';
import { type Panel, Panels } from '../panels.js';

export interface Section {
  title: string;
  panels: Panel[];
}

export interface Page {
  uid: string;
  title: string;
  description: string;
  folder: 'services' | 'pipeline';
  scope: Scope;
  /** England's figures of a year that can be chosen. */
  benchmarks?: boolean;
  sections: (panels: Panels) => Section[];
}

function queried(name: string, label: string, metric: string, value: string, all: boolean): dashboard.QueryVariableBuilder {
  const query = `label_values(${metric}, ${value})`;
  const variable = new dashboard.QueryVariableBuilder(name)
    .label(label)
    .datasource({ type: 'prometheus', uid: '${source}' })
    .query({ query, refId: name, qryType: 1 })
    .definition(query)
    .refresh(dashboard.VariableRefresh.OnTimeRangeChanged)
    .sort(all ? dashboard.VariableSort.AlphabeticalAsc : dashboard.VariableSort.NumericalDesc)
    .multi(all)
    .includeAll(all);
  return all ? variable.current({ selected: true, text: ['All'], value: ['$__all'] }) : variable;
}

function variables(page: Page): dashboard.DatasourceVariableBuilder[] | dashboard.QueryVariableBuilder[] {
  const found: dashboard.QueryVariableBuilder[] = [];
  if (page.scope !== 'none') found.push(queried('authority', 'Authority', 'casewatch_cases_open', 'authority', true));
  if (page.scope === 'team') {
    found.push(queried('service', 'Service', 'casewatch_cases_open{authority=~"$authority"}', 'service', true));
    found.push(queried('team', 'Team', 'casewatch_cases_open{authority=~"$authority", service=~"$service"}', 'team', true));
  }
  if (page.benchmarks) found.push(queried('year', "England's figures of", 'casewatch_benchmark_ratio', 'year', false));
  return found;
}

export function build(page: Page, catalogue: Catalogue, shown: Set<string>): dashboard.Dashboard {
  const panels = new Panels(catalogue, page.scope, shown);
  const builder = new dashboard.DashboardBuilder(page.title)
    .uid(page.uid)
    .description(page.description)
    .tags(['casewatch'])
    .timezone('Europe/London')
    .weekStart('monday')
    .refresh('1m')
    .time({ from: page.folder === 'pipeline' ? 'now-6h' : 'now-30d', to: 'now' })
    .readonly()
    .tooltip(dashboard.DashboardCursorSync.Crosshair)
    .withVariable(new dashboard.DatasourceVariableBuilder('source').label('Prometheus').type('prometheus'))
    .link(
      new dashboard.DashboardLinkBuilder('Casewatch')
        .type(dashboard.DashboardLinkType.Dashboards)
        .tags(['casewatch'])
        .asDropdown(true)
        .keepTime(true)
        .includeVars(true),
    );
  for (const variable of variables(page)) builder.withVariable(variable);
  for (const section of [freshness(panels), ...page.sections(panels)]) {
    builder.withRow(new dashboard.RowBuilder(section.title));
    for (const panel of section.panels) builder.withPanel(panel);
  }
  return builder.build();
}

/** Unmissable, and first: numbers that are not fresh are not numbers. */
function freshness(panels: Panels): Section {
  return {
    title: 'How fresh this is',
    panels: [
      panels.stat('casewatch_as_of_timestamp_seconds', { title: 'The numbers describe', how: 'max', width: 6 }),
      panels.stat('casewatch_source_heard_timestamp_seconds', {
        title: 'The quietest feed was heard of',
        how: 'min',
        width: 6,
      }),
      panels.stat('casewatch_catching_up', { title: 'Catching up', how: 'max', width: 6 }),
      panels.stat('casewatch_query_state', {
        title: 'Numbers that are not shown',
        expression: 'sum(max by (query, state) (casewatch_query_state{state!~"ok|failed"}))',
        unit: 'suffix: metrics',
        width: 6,
      }),
    ],
  };
}
