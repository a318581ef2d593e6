// PromQL over the catalogue. Each expression aggregates the instance away first (two readers may run), and names only
// labels that its metric has.

import type { Metric } from './catalogue.js';

/** What a dashboard is narrowed to: its variables. */
export type Scope = 'none' | 'authority' | 'team';
export type How = 'sum' | 'max' | 'min' | 'avg';
/** Label matchers, such as `{ state: '="nominal"' }`. */
export type Where = Record<string, string>;

const PLACES = ['authority', 'service', 'team'];

/** Whether a metric is given at three levels, with "all" for the authority or a service (queries/README.md). */
export function hasLevels(metric: Metric): boolean {
  return metric.help.includes('"all"');
}

function scoped(metric: Metric, scope: Scope, by: string[]): Where {
  const where: Where = {};
  if (scope === 'none') return where;
  if (metric.labels.includes('authority')) where['authority'] = '=~"$authority"';
  if (hasLevels(metric)) {
    // A ratio or a mean does not add up: take the row of the level that is shown.
    const narrow = scope === 'team';
    where['service'] = narrow ? '=~"$service"' : by.includes('service') ? '!="all"' : '="all"';
    where['team'] = narrow ? '=~"$team", team!="all"' : by.includes('team') ? '!="all"' : '="all"';
  } else if (scope === 'team') {
    for (const place of ['service', 'team']) {
      if (metric.labels.includes(place)) where[place] = `=~"$${place}"`;
    }
  }
  return where;
}

function selector(name: string, where: Where): string {
  const matchers = Object.entries(where).map(([label, condition]) => `${label}${condition}`);
  return matchers.length === 0 ? name : `${name}{${matchers.join(', ')}}`;
}

export function insist(metric: Metric, labels: string[]): void {
  for (const label of labels) {
    if (!metric.labels.includes(label)) throw new Error(`${metric.name} has no label ${label}`);
  }
}

/** A metric summed up (or its maximum) by `by`. */
export function total(metric: Metric, scope: Scope, by: string[], how: How, where: Where = {}): string {
  insist(metric, [...by, ...Object.keys(where)]);
  const narrowed = selector(metric.name, { ...scoped(metric, scope, by), ...where });
  const single = metric.labels.length === 0 ? `max(${narrowed})` : `max by (${metric.labels.join(', ')}) (${narrowed})`;
  return by.length === 0 ? `${how}(${single})` : `${how} by (${by.join(', ')}) (${single})`;
}

/** How fast a counter counts. Over instances it adds up: each has read for itself what it counts. */
export function rate(metric: Metric, by: string[], where: Where = {}): string {
  insist(metric, [...by, ...Object.keys(where)]);
  const counted = `rate(${selector(metric.name, where)}[$__rate_interval])`;
  return by.length === 0 ? `sum(${counted})` : `sum by (${by.join(', ')}) (${counted})`;
}

/** A quantile of a histogram. */
export function quantile(metric: Metric, q: number, by: string[]): string {
  insist(metric, by);
  const labels = ['le', ...by].join(', ');
  return `histogram_quantile(${q}, sum by (${labels}) (rate(${metric.name}_bucket[$__rate_interval])))`;
}

/** The values from which on a metric is a warning or a page, a series a tier. */
export function tiers(metric: Metric, scope: Scope, prefix: string): string {
  const where: Where = { metric: `="${metric.name}"`, severity: '=~"warn|page"' };
  if (prefix !== '') where['tier'] = `=~"${prefix}.*"`;
  if (scope !== 'none') where['authority'] = '=~"$authority"';
  if (scope === 'team') for (const place of ['service', 'team']) where[place] = `=~"$${place}|"`;
  const named = selector('casewatch_threshold', where);
  return `max by (tier, severity) (${named})`;
}

export { PLACES };
