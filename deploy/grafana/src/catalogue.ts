// The metrics that casewatch exports, read from where they are defined: the headers of queries/metrics and the tables of
// deploy/METRICS.md. A panel takes its description, unit and labels from here, and cannot name what does not exist.

import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

export interface Metric {
  name: string;
  help: string;
  /** As the header has it; casewatch's own metrics have theirs from their name. */
  unit: string;
  labels: string[];
  kind: 'gauge' | 'counter' | 'histogram';
  /** The folder of queries/metrics; `own` for casewatch's own. */
  theme: string;
}

export class Catalogue {
  private readonly metrics = new Map<string, Metric>();

  constructor(root: string) {
    for (const metric of [...ofQueries(join(root, 'queries/metrics')), ...own(join(root, 'deploy/METRICS.md'))]) {
      this.metrics.set(metric.name, metric);
    }
  }

  get(name: string): Metric {
    const metric = this.metrics.get(name);
    if (metric === undefined) throw new Error(`no metric is called ${name}`);
    return metric;
  }

  ofTheme(theme: string): Metric[] {
    return [...this.metrics.values()].filter((metric) => metric.theme === theme);
  }

  themes(): string[] {
    return [...new Set([...this.metrics.values()].map((metric) => metric.theme))];
  }
}

function ofQueries(folder: string): Metric[] {
  const themes = readdirSync(folder).sort();
  return themes.flatMap((theme) =>
    readdirSync(join(folder, theme))
      .sort()
      .filter((file) => file.endsWith('.sql'))
      .map((file) => header(readFileSync(join(folder, theme, file), 'utf8'), theme)),
  );
}

function header(text: string, theme: string): Metric {
  const fields = new Map<string, string>();
  let last = '';
  for (const line of text.split('\n')) {
    const more = /^-- {3}(.+)$/.exec(line);
    const field = /^-- ([a-z_]+): ?(.*)$/.exec(line);
    if (more) fields.set(last, `${fields.get(last)} ${more[1]}`);
    else if (field) fields.set((last = field[1]!), field[2]!);
    else break;
  }
  const field = (name: string): string => {
    const value = fields.get(name);
    if (value === undefined) throw new Error(`a metric of ${theme} has no ${name}: ${text.slice(0, 80)}`);
    return value;
  };
  return {
    name: field('name'),
    help: field('help'),
    unit: field('unit'),
    labels: list(field('labels')),
    kind: 'gauge',
    theme,
  };
}

function own(page: string): Metric[] {
  const rows = readFileSync(page, 'utf8').split('\n').filter((line) => line.startsWith('| `'));
  return rows.map((row) => {
    const cells = row.split('|').map((cell) => cell.trim());
    const name = cells[1]!.replaceAll('`', '');
    return {
      name,
      help: cells[5]!.replaceAll('`', ''),
      unit: unitOfName(name),
      labels: list(cells[3]!),
      kind: cells[2] as Metric['kind'],
      theme: 'own',
    };
  });
}

function unitOfName(name: string): string {
  if (/_seconds(_total)?$/.test(name)) return 'seconds';
  if (/_bytes(_total)?$/.test(name)) return 'bytes';
  const counted = /_([a-z]+)_total$/.exec(name) ?? /_([a-z]+)$/.exec(name);
  return counted?.[1] ?? 'none';
}

function list(text: string): string[] {
  return text.split(',').map((item) => item.trim()).filter((item) => item !== '');
}
