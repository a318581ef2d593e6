// Writes the dashboards: node build/main.js [FOLDER [CHECKOUT]]

import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { Catalogue } from './catalogue.js';
import { allocation } from './dashboards/allocation.js';
import { caseload } from './dashboards/caseload.js';
import { build } from './dashboards/common.js';
import { frontDoor } from './dashboards/front_door.js';
import { overview } from './dashboards/overview.js';
import { pipeline } from './dashboards/pipeline.js';
import { practice } from './dashboards/practice.js';
import { quality } from './dashboards/quality.js';
import { team } from './dashboards/team.js';
import { workforce } from './dashboards/workforce.js';

const here = join(dirname(fileURLToPath(import.meta.url)), '..');
const folder = process.argv[2] ?? join(here, 'dashboards');
const catalogue = new Catalogue(process.argv[3] ?? join(here, '../..'));
const shown = new Set<string>();

rmSync(folder, { recursive: true, force: true });
for (const page of [overview, allocation, caseload, workforce, frontDoor, practice, quality, team, pipeline]) {
  const file = join(folder, page.folder, `${page.uid.replace('casewatch-', '')}.json`);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(build(page, catalogue, shown), null, 2)}\n`);
}

// Every number of the catalogue is on some dashboard: a new one needs a panel.
const missing = catalogue
  .themes()
  .filter((theme) => theme !== 'own')
  .flatMap((theme) => catalogue.ofTheme(theme))
  .filter((metric) => !shown.has(metric.name));
if (missing.length > 0) {
  console.error(`no panel shows ${missing.map((metric) => metric.name).join(', ')}`);
  process.exit(1);
}
