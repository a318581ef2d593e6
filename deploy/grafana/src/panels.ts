// The kinds of panel that dashboards are made of. Whatever the kind: a title, the metric's own help as description, its
// unit, and "unknown" where there is no data, which is not zero.

import * as common from '@grafana/grafana-foundation-sdk/common';
import * as dashboard from '@grafana/grafana-foundation-sdk/dashboard';
import * as prometheus from '@grafana/grafana-foundation-sdk/prometheus';
import { PanelBuilder as Stat } from '@grafana/grafana-foundation-sdk/stat';
import { PanelBuilder as Table } from '@grafana/grafana-foundation-sdk/table';
import { PanelBuilder as TimeSeries } from '@grafana/grafana-foundation-sdk/timeseries';

import { Catalogue, type Metric } from './catalogue.js';
import { type How, type Scope, type Where, quantile, rate, tiers, total } from './expression.js';

/** What a cell says where nobody knows. */
const UNKNOWN = 'unknown';
const SOURCE = { type: 'prometheus', uid: '${source}' };

/** Okabe and Ito's colours, which colour-blind people can tell apart. */
const COLOURS = {
  calm: '#009E73',
  warn: '#E69F00',
  page: '#D55E00',
  benchmark: '#56B4E9',
  plain: '#0072B2',
  unknown: '#808080',
};

/** Grey: what nobody knows must not look calm. */
const UNKNOWN_MAPPING: dashboard.ValueMapping = {
  type: dashboard.MappingType.SpecialValue,
  options: {
    match: dashboard.SpecialValueMatch.NullAndNan,
    result: { text: UNKNOWN, color: COLOURS.unknown },
  },
};

export type Panel = Stat | Table | TimeSeries;

export interface Options {
  title: string;
  by?: string[];
  how?: How;
  where?: Where;
  /** Shows the tiers of the metric; a text means only those tiers whose names begin so. */
  judged?: boolean | string;
  /** England's published figure of the chosen year. */
  benchmark?: string;
  stacked?: boolean;
  legend?: string;
  /** The metric appears with the first thing it counts. Until then, while casewatch runs, nothing has been counted. */
  sinceFirst?: boolean;
  /** Instead of what the metric's options come to: an expression, whose labels the caller answers for. */
  expression?: string;
  unit?: string;
  width?: number;
}

/** Grafana's unit for one of the catalogue's. */
export function unitFor(metric: Metric): string {
  switch (metric.unit) {
    case 'ratio':
      return 'percentunit';
    case 'seconds':
      return metric.name.endsWith('_timestamp_seconds') ? 'dateTimeFromNow' : 's';
    case 'bytes':
      return 'bytes';
    case 'cases_per_fte':
      return 'suffix: cases per FTE';
    case 'fte':
      return 'suffix: FTE';
    case 'calendardays':
      return 'suffix: days';
    case 'workdays':
      return 'suffix: working days';
    case 'flag':
      return 'bool_yes_no';
    default:
      return `suffix: ${metric.unit.replaceAll('_', ' ')}`;
  }
}

export class Panels {
  constructor(
    private readonly catalogue: Catalogue,
    private readonly scope: Scope,
    /** Metrics that some panel shows: a check wants all of them. */
    readonly shown: Set<string>,
  ) {}

  private metric(name: string): Metric {
    this.shown.add(name);
    return this.catalogue.get(name);
  }

  private expression(metric: Metric, options: Options): string {
    const milliseconds = metric.name.endsWith('_timestamp_seconds') && options.unit === undefined ? '1000 * ' : '';
    const expression = `${milliseconds}${total(metric, this.scope, options.by ?? [], options.how ?? 'sum', options.where)}`;
    return options.expression ?? sinceFirst(expression, options);
  }

  /** One number, now. It takes the colour of a warning at the lowest tier. */
  stat(name: string, options: Options): Stat {
    const metric = this.metric(name);
    const panel = new Stat()
      .title(options.title)
      .description(metric.help)
      .unit(options.unit ?? unitFor(metric))
      .noValue(UNKNOWN)
      .datasource(SOURCE)
      .mappings([UNKNOWN_MAPPING])
      .height(4)
      .span(options.width ?? 4)
      .reduceOptions(new common.ReduceDataOptionsBuilder().calcs(['lastNotNull']))
      .graphMode(common.BigValueGraphMode.None)
      .colorMode(options.judged ? common.BigValueColorMode.Background : common.BigValueColorMode.Value)
      .thresholds(plain(options.judged ? COLOURS.calm : COLOURS.plain))
      .withTarget(instant('Now', this.expression(metric, options), legend(options)));
    if (options.judged) {
      const lowest = `min(${tiers(metric, this.scope, prefix(options))})`;
      panel.withTarget(instant('Tier', lowest, 'from here on a warning'));
      panel.withTransformation({
        id: 'configFromData',
        options: {
          configRefId: 'Tier',
          mappings: [
            {
              fieldName: 'from here on a warning',
              handlerKey: 'threshold1',
              handlerArguments: { threshold: { color: COLOURS.warn } },
            },
          ],
        },
      });
    }
    return panel;
  }

  /** A number over time, with a line for each tier and for the benchmark. Gaps are left open. */
  trend(name: string, options: Options): TimeSeries {
    const metric = this.metric(name);
    const panel = series(options, metric.help, options.unit ?? unitFor(metric));
    panel.withTarget(range('Value', this.expression(metric, options), legend(options)));
    return this.lines(panel, metric, options);
  }

  /** How fast a counter counts, over time. */
  rate(name: string, options: Options): TimeSeries {
    const metric = this.metric(name);
    const unit = options.unit ?? (metric.unit === 'bytes' ? 'Bps' : metric.unit === 'seconds' ? 'percentunit' : `suffix: ${metric.unit} a second`);
    const panel = series(options, metric.help, unit);
    return panel.withTarget(range('Value', sinceFirst(rate(metric, options.by ?? [], options.where), options), legend(options)));
  }

  /** Median and 99th percentile of a histogram, over time. */
  quantiles(name: string, options: Options): TimeSeries {
    const metric = this.metric(name);
    const panel = series(options, metric.help, unitFor(metric));
    for (const [refId, q] of [['Median', 0.5], ['P99', 0.99]] as const) {
      panel.withTarget(range(refId, quantile(metric, q, options.by ?? []), `${refId} ${legend(options)}`.trim()));
    }
    return panel;
  }

  /** A row for each value of `by`, the largest first. */
  table(name: string, options: Options & { by: string[] }): Table {
    const metric = this.metric(name);
    const column = options.title;
    return new Table()
      .title(options.title)
      .description(metric.help)
      .unit(options.unit ?? unitFor(metric))
      .noValue(UNKNOWN)
      .datasource(SOURCE)
      .mappings([UNKNOWN_MAPPING])
      .height(9)
      .span(options.width ?? 8)
      .withTarget(instant('Value', `sort_desc(${this.expression(metric, options)})`, '').format(prometheus.PromQueryFormat.Table))
      .withTransformation({
        id: 'organize',
        options: { excludeByName: { Time: true }, renameByName: { Value: column } },
      });
  }

  private lines(panel: TimeSeries, metric: Metric, options: Options): TimeSeries {
    if (options.judged) {
      panel.withTarget(range('Tiers', tiers(metric, this.scope, prefix(options)), '{{tier}}'));
      panel.overrideByQuery('Tiers', dashed(COLOURS.page));
    }
    if (options.benchmark !== undefined) {
      const published = this.metric(metric.unit === 'cases_per_fte' ? 'casewatch_benchmark_caseload_cases_per_fte' : 'casewatch_benchmark_ratio');
      const where: Where = { area: '="England"', year: '=~"$year"' };
      if (published.labels.includes('measure')) where['measure'] = `="${options.benchmark}"`;
      panel.withTarget(range('Benchmark', total(published, 'none', ['area', 'year'], 'max', where), '{{area}} {{year}}'));
      panel.overrideByQuery('Benchmark', dashed(COLOURS.benchmark));
    }
    return panel;
  }
}

function series(options: Options, help: string, unit: string): TimeSeries {
  const panel = new TimeSeries()
    .title(options.title)
    .description(help)
    .unit(unit)
    .noValue(UNKNOWN)
    .datasource(SOURCE)
    .height(9)
    .span(options.width ?? 8)
    .min(0)
    .spanNulls(false)
    .lineWidth(2)
    .fillOpacity(options.stacked ? 40 : 0)
    .legend(new common.VizLegendOptionsBuilder().displayMode(common.LegendDisplayMode.List).placement(common.LegendPlacement.Bottom).showLegend(true));
  if (options.stacked) panel.stacking(new common.StackingConfigBuilder().mode(common.StackingMode.Normal));
  return panel;
}

function plain(colour: string): dashboard.ThresholdsConfigBuilder {
  return new dashboard.ThresholdsConfigBuilder()
    .mode(dashboard.ThresholdsMode.Absolute)
    .steps([{ value: null, color: colour }]);
}

function dashed(colour: string): dashboard.DynamicConfigValue[] {
  return [
    { id: 'custom.lineStyle', value: { fill: 'dash', dash: [8, 8] } },
    { id: 'custom.lineWidth', value: 1 },
    { id: 'custom.fillOpacity', value: 0 },
    { id: 'custom.stacking', value: { mode: 'none' } },
    { id: 'color', value: { mode: 'fixed', fixedColor: colour } },
  ];
}

function sinceFirst(expression: string, options: Options): string {
  return options.sinceFirst ? `${expression} or 0 * max(casewatch_build_info)` : expression;
}

function prefix(options: Options): string {
  return typeof options.judged === 'string' ? options.judged : '';
}

function legend(options: Options): string {
  return options.legend ?? ((options.by ?? []).map((label) => `{{${label}}}`).join(' ') || options.title);
}

function query(refId: string, expression: string, format: string): prometheus.DataqueryBuilder {
  return new prometheus.DataqueryBuilder().refId(refId).datasource(SOURCE).expr(expression).legendFormat(format);
}

function instant(refId: string, expression: string, format: string): prometheus.DataqueryBuilder {
  return query(refId, expression, format).instant();
}

function range(refId: string, expression: string, format: string): prometheus.DataqueryBuilder {
  return query(refId, expression, format).range();
}
